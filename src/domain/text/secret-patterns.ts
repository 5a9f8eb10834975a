/**
 * The token formats of known vendors. Each starts with a literal of at least three characters, so that one pass over the
 * text finds all candidates. Each expression ends with its longest run, so that it cannot backtrack far.
 */

export interface SecretPattern {
  readonly name: string;
  /** The literals it may start with, at least three characters each. */
  readonly prefixes: readonly string[];
  /** A sticky expression, which is only tried where one of the literals was found. */
  readonly regex: RegExp;
  /** No letter, digit or character of this kind may precede the match, because ordinary words end with the literal too. */
  readonly after?: "word" | "token";
  /** The match must look random, because ordinary words start with the literal too. */
  readonly random?: true;
}

const HEX_DIGITS = Array.from("0123456789abcdef");

export const SECRET_PATTERNS: readonly SecretPattern[] = [
  { name: "github", prefixes: ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], regex: /gh[a-z]_[A-Za-z0-9]{20,}/y },
  { name: "github", prefixes: ["github_pat_"], regex: /github_pat_[A-Za-z0-9_]{22,}/y },
  { name: "anthropic", prefixes: ["sk-ant-"], regex: /sk-ant-[A-Za-z0-9_-]{16,}/y },
  { name: "openai", prefixes: ["sk-"], regex: /sk-[A-Za-z0-9_-]{20,}/y, after: "word", random: true },
  { name: "slack", prefixes: ["xox"], regex: /xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}/y },
  { name: "slack", prefixes: ["xapp-"], regex: /xapp-[0-9]-[A-Za-z0-9-]{10,}/y },
  { name: "slack", prefixes: ["hooks.slack.com/"], regex: /hooks\.slack\.com\/[a-z]{3,12}\/[A-Za-z0-9/_-]{20,}/y },
  {
    name: "discord",
    prefixes: ["discord.com/api/", "discordapp.com/api/"],
    regex: /discord(?:app)?\.com\/api\/(?:v[0-9]{1,2}\/)?webhooks\/[0-9]{10,25}\/[A-Za-z0-9_-]{20,}/y,
  },
  { name: "aws", prefixes: ["AKIA", "ASIA", "ABIA"], regex: /A[A-Z]IA[A-Z0-9]{16}(?![A-Z0-9])/y, after: "word" },
  { name: "google", prefixes: ["AIza"], regex: /AIza[A-Za-z0-9_-]{35,}/y },
  { name: "google", prefixes: ["ya29."], regex: /ya29\.[A-Za-z0-9_.-]{20,}/y },
  { name: "google", prefixes: ["GOCSPX-"], regex: /GOCSPX-[A-Za-z0-9_-]{20,}/y },
  { name: "npm", prefixes: ["npm_"], regex: /npm_[A-Za-z0-9]{30,}/y },
  {
    name: "gitlab",
    prefixes: ["glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-", "glft-", "glagent-"],
    regex: /gl[a-z]{2,5}-[A-Za-z0-9_.-]{20,}/y,
  },
  { name: "jwt", prefixes: ["eyJ"], regex: /eyJ[\w-]{8,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?/y, after: "token" },
  { name: "jwe", prefixes: ["eyJ"], regex: /eyJ[\w-]{8,}\.[\w-]*\.[\w-]{8,}\.[\w-]{16,}\.[\w-]{16,}/y, after: "token" },
  {
    name: "stripe",
    prefixes: ["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
    regex: /[sr]k_[a-z]{4}_[A-Za-z0-9]{10,}/y,
    after: "word",
    random: true,
  },
  { name: "webhook-secret", prefixes: ["whsec_"], regex: /whsec_[A-Za-z0-9+/=]{20,}/y },
  { name: "sendgrid", prefixes: ["SG."], regex: /SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}/y, after: "token" },
  {
    name: "twilio",
    prefixes: HEX_DIGITS.map((digit) => `SK${digit}`),
    regex: /SK[0-9a-f]{32}(?![0-9a-f])/y,
    after: "word",
  },
  { name: "huggingface", prefixes: ["hf_"], regex: /hf_[A-Za-z0-9]{30,}/y, after: "word" },
  { name: "pypi", prefixes: ["pypi-"], regex: /pypi-[A-Za-z0-9_-]{40,}/y },
  { name: "digitalocean", prefixes: ["dop_v1_", "doo_v1_", "dor_v1_"], regex: /do[a-z]_v1_[a-f0-9]{40,}/y },
  { name: "databricks", prefixes: ["dapi"], regex: /dapi[a-f0-9]{32}(?:-[0-9])?/y, after: "word" },
  { name: "shopify", prefixes: ["shpat_", "shpca_", "shppa_", "shpss_"], regex: /shp[a-z]{2}_[a-fA-F0-9]{32,}/y },
  { name: "mailgun", prefixes: ["key-"], regex: /key-[0-9a-z]{32}(?![0-9a-zA-Z])/y, after: "token", random: true },
  { name: "linear", prefixes: ["lin_api_"], regex: /lin_api_[A-Za-z0-9]{32,}/y },
  { name: "vault", prefixes: ["hvs.", "hvb.", "hvr."], regex: /hv[sbr]\.[A-Za-z0-9_-]{24,}/y },
  { name: "age", prefixes: ["AGE-SECRET-KEY-1"], regex: /AGE-SECRET-KEY-1[A-Z0-9]{40,}/y },
  { name: "newrelic", prefixes: ["NRAK-"], regex: /NRAK-[A-Z0-9]{20,}/y },
  { name: "groq", prefixes: ["gsk_"], regex: /gsk_[A-Za-z0-9]{40,}/y },
  { name: "xai", prefixes: ["xai-"], regex: /xai-[A-Za-z0-9]{40,}/y },
  { name: "replicate", prefixes: ["r8_"], regex: /r8_[A-Za-z0-9]{30,}/y, after: "word" },
  { name: "docker", prefixes: ["dckr_pat_"], regex: /dckr_pat_[A-Za-z0-9_-]{20,}/y },
  { name: "atlassian", prefixes: ["ATATT3"], regex: /ATATT3[A-Za-z0-9_=-]{40,}/y },
  { name: "postman", prefixes: ["PMAK-"], regex: /PMAK-[a-f0-9]{24}-[a-f0-9]{34}/y },
  { name: "grafana", prefixes: ["glsa_", "glc_"], regex: /gl(?:sa|c)_[A-Za-z0-9_+/=]{32,}/y },
  { name: "sentry", prefixes: ["sntrys_"], regex: /sntrys_[A-Za-z0-9_+/=]{32,}/y },
  { name: "figma", prefixes: ["figd_"], regex: /figd_[A-Za-z0-9_-]{30,}/y },
  { name: "supabase", prefixes: ["sbp_"], regex: /sbp_[a-f0-9]{40}/y },
  {
    name: "url-credentials",
    prefixes: ["://"],
    regex: /:\/\/(?:[^\s:@/"'<>]{0,128}:[^\s@/"'<>]{1,512}|[^\s:@/"'<>]{16,512})@/y,
  },
  {
    name: "bearer",
    prefixes: ["Bearer ", "bearer ", "BEARER "],
    regex: /bearer {1,4}[A-Za-z0-9._~+/-]{16,}={0,2}/iy,
    random: true,
  },
];

const MAX_ENTROPY_CHARS = 128;
/** A table of n · log2 n, so that no logarithm is computed per match. */
const N_LOG_N = Float64Array.from({ length: MAX_ENTROPY_CHARS + 1 }, (_, n) => (n > 1 ? n * Math.log2(n) : 0));

/** Returns the bits of information per character of the first 128: words have less than about 3.6, random keys of twenty characters more. */
export function shannonEntropy(text: string): number {
  const length = Math.min(text.length, MAX_ENTROPY_CHARS);
  if (length < 2) return 0;
  const counts = new Uint8Array(128);
  for (let at = 0; at < length; at += 1) {
    const unit = text.charCodeAt(at) & 0x7f;
    counts[unit] = (counts[unit] ?? 0) + 1;
  }
  let known = 0;
  for (let at = 0; at < length; at += 1) {
    const unit = text.charCodeAt(at) & 0x7f;
    known += N_LOG_N[counts[unit] ?? 0] ?? 0;
    counts[unit] = 0;
  }
  return Math.log2(length) - known / length;
}

/** A random key mixes digits and letters and repeats few characters, unlike names of functions and files. */
export function looksRandom(text: string): boolean {
  const entropy = shannonEntropy(text);
  return entropy >= 4 || (entropy >= 2.5 && /[0-9]/.test(text) && /[A-Za-z]/.test(text));
}
