/** As much of TOML as it takes to know what a project is called. */

/** `name = "…"` of one section. */
export function tomlName(text: string, section: string): string | undefined {
  const [, after = ""] = `\n${text}`.split(`\n[${section}]`);
  const inside = after.split(/^\[/m)[0] ?? "";
  return /^name\s*=\s*["'](?<name>[^"']+)["']/m.exec(inside)?.groups?.["name"];
}
