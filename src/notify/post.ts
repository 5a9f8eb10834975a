/** One POST to an address that the URL guard has checked. No redirect is followed, and little of the response is read. */
import { type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { GuardedUrl, GuardOptions } from "./url-guard.ts";

const MAX_RESPONSE_BYTES = 65_536;

/** Of every channel that sends by HTTP. */
export interface HttpOptions extends GuardOptions {
  readonly clock: () => Date;
  readonly ca?: string | undefined;
  readonly timeoutMs?: number;
}

export interface PostRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
  /** Certificates to trust in addition to the usual ones, for receivers in a private network. */
  readonly ca?: string | undefined;
}

export interface PostResponse {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** At most the first 64 KB. */
  readonly body: string;
}

export async function post(
  { url, address }: GuardedUrl,
  { headers, body, signal, ca }: PostRequest,
): Promise<PostResponse> {
  const options: RequestOptions & { ca?: string; rejectUnauthorized: boolean } = {
    method: "POST",
    headers: { ...headers, "content-length": String(Buffer.byteLength(body)) },
    // No connection is reused: an older one might lead to an address that was not checked now.
    agent: false,
    lookup: (_host, how, done) => {
      if (how.all) done(null, [address]);
      else done(null, address.address, address.family);
    },
    // Set explicitly, because an environment variable could turn it off.
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
