/** One word of a POSIX shell's command line, for a script or for a person to copy: quoted only where it must be. */
export function shellWord(text: string): string {
  return /^[\w./@:%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
