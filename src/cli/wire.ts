/** One HTTP request. node:http and not fetch: loading fetch takes 95 ms on Node 20, this 9. */
import { request as httpRequest, type IncomingMessage } from "node:http";

export interface Wish {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Silence longer than this ends the request. */
  readonly timeoutMs: number;
}

export async function ask(url: URL, { method, headers, body, signal, timeoutMs }: Wish): Promise<IncomingMessage> {
  const request = url.protocol === "https:" ? (await import("node:https")).request : httpRequest;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const asked = request(url, { method, headers: { ...headers, ...length }, ...(signal ? { signal } : {}) }, resolve);
    asked.setTimeout(timeoutMs, () =>
      asked.destroy(Object.assign(new Error("No answer in time."), { code: "ETIMEDOUT" })),
    );
    asked.on("error", reject);
    asked.end(body);
  });
}

export async function textFrom(response: IncomingMessage): Promise<string> {
  response.setEncoding("utf8");
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}
