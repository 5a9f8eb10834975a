/** TOML of others, which a schema checks next. */
import { parse } from "smol-toml";

/** Undefined when the text is no TOML. */
export function parseToml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}
