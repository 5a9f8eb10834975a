/** A word for a line that a person may copy into a shell: quoted where it must be. */
export function shellWord(text: string): string {
  return /^[\w./@:+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
