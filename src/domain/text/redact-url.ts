/** An address without the user name, password or token that may stand before its host: https://name:token@host/… */
export function redactUrl(text: string): string {
  return text.replaceAll(/(?<=:\/\/)[^/@\s]+@/g, "");
}
