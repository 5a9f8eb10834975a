/** Answers what is not a valid HTTP request: with a problem document and an id, although no route ever sees it. */
import { type Server, STATUS_CODES } from "node:http";
import { codeOf, FleetError, type FailureCode } from "../../domain/errors.ts";
import { toProblem } from "./problem.ts";

export function answerBrokenRequests(server: Server, newId: () => string): void {
  server.on("clientError", (error, socket) => {
    // Disconnected, or a response has started: a second one would be read as the rest of the first.
    if (codeOf(error) === "ECONNRESET" || !socket.writable || hasResponseStarted(socket)) {
      socket.destroy();
      return;
    }
    const { status, headers, body } = toResponse(toClientError(codeOf(error)), newId());
    const lines = Object.entries({ ...headers, connection: "close" }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
  });
  server.on("checkExpectation", (_request, response) => {
    const { status, headers, body } = toResponse(
      new FleetError("expectation-failed", "Expect may only be 100-continue."),
      newId(),
    );
    response.writeHead(status, headers).end(body);
  });
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [code: FailureCode, detail: string]>> = {
  HPE_HEADER_OVERFLOW: ["headers-too-large", "The headers may have at most 16 KiB."],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ["body-too-large", "The chunk extensions of the body are too large."],
  ERR_HTTP_REQUEST_TIMEOUT: ["request-timeout", "The request did not arrive in time."],
};

function toClientError(code = ""): FleetError {
  const [failure, detail] = CLIENT_ERRORS[code] ?? ["malformed-request", "This is not a well-formed HTTP/1.1 request."];
  return new FleetError(failure, detail);
}

function toResponse(error: FleetError, requestId: string) {
  const problem = toProblem(error, `urn:uuid:${requestId}`);
  const body = JSON.stringify(problem);
  const headers = {
    "content-type": "application/problem+json",
    "content-length": String(Buffer.byteLength(body)),
    "cache-control": "no-store",
    "x-request-id": requestId,
    "x-content-type-options": "nosniff",
  };
  return { status: problem.status, headers, body };
}

/** Node stores the response in progress on the socket, in an undocumented property. */
function hasResponseStarted(socket: object): boolean {
  const answer: unknown = Reflect.get(socket, "_httpMessage");
  return typeof answer === "object" && answer !== null && "headersSent" in answer && answer.headersSent === true;
}
