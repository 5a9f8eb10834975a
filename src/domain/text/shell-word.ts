/** Quotes a word, where necessary, for a command line that a person may copy into a shell. */
export function shellWord(text: string): string {
  return /^[\w./@:+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
