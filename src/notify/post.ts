/** One POST to an address that was judged before: no redirect followed, little read, little waited for. */
import { type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { GuardedUrl } from "./url-guard.ts";

const MAX_RESPONSE_BYTES = 65_536;

export interface PostRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
  /** Certificates to trust besides the usual ones, for receivers in one's own network. */
  readonly ca?: string | undefined;
}

export interface PostResponse {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** At most 64 KB of it; the rest was not waited for. */
  readonly body: string;
}

export async function post(
  { url, address }: GuardedUrl,
  { headers, body, signal, ca }: PostRequest,
): Promise<PostResponse> {
  const options: RequestOptions & { ca?: string; rejectUnauthorized: boolean } = {
    method: "POST",
    headers: { ...headers, "content-length": String(Buffer.byteLength(body)) },
    // No connection is shared: a kept one might lead to an address of another time.
    agent: false,
    lookup: (_host, how, done) => {
      if (how.all) done(null, [address]);
      else done(null, address.address, address.family);
    },
    // Said outright, because an environment variable could turn it off.
    rejectUnauthorized: true,
    signal,
    ...(ca === undefined ? {} : { ca }),
  };
  const request = url.protocol === "https:" ? requestHttps(url, options) : requestHttp(url, options);
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => {
      readResponse(response).then(resolve, reject);
    });
    request.end(body);
  });
}

async function readResponse(response: IncomingMessage): Promise<PostResponse> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    // Leaving the loop closes the socket.
    if (bytes >= MAX_RESPONSE_BYTES) break;
  }
  const body = Buffer.concat(chunks).subarray(0, MAX_RESPONSE_BYTES).toString("utf8");
  return { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], body };
}
