/**
 * How secrets of known vendors look. Each starts with a literal of at least three characters, so one pass over the
 * text finds every place worth a closer look; each expression ends with its longest run, so it cannot backtrack far.
 */

export interface SecretPattern {
  readonly name: string;
  /** Literals it starts with, at least three characters each. */
  readonly starts: readonly string[];
  /** Sticky; tried only where one of the literals stands. */
  readonly shape: RegExp;
  /** Only where no letter, digit or what is named here stands before: the literal also ends ordinary words. */
  readonly after?: "word" | "token";
  /** Only when the match looks drawn by lot: the literal also starts ordinary words. */
  readonly random?: true;
}

const HEX_DIGITS = Array.from("0123456789abcdef");

export const SECRET_PATTERNS: readonly SecretPattern[] = [
  { name: "github", starts: ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], shape: /gh[a-z]_[A-Za-z0-9]{20,}/y },
  { name: "github", starts: ["github_pat_"], shape: /github_pat_[A-Za-z0-9_]{22,}/y },
  { name: "anthropic", starts: ["sk-ant-"], shape: /sk-ant-[A-Za-z0-9_-]{16,}/y },
  { name: "openai", starts: ["sk-"], shape: /sk-[A-Za-z0-9_-]{20,}/y, after: "word", random: true },
  { name: "slack", starts: ["xox"], shape: /xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}/y },
  { name: "slack", starts: ["xapp-"], shape: /xapp-[0-9]-[A-Za-z0-9-]{10,}/y },
  { name: "slack", starts: ["hooks.slack.com/"], shape: /hooks\.slack\.com\/[a-z]{3,12}\/[A-Za-z0-9/_-]{20,}/y },
  {
    name: "discord",
    starts: ["discord.com/api/", "discordapp.com/api/"],
    shape: /discord(?:app)?\.com\/api\/(?:v[0-9]{1,2}\/)?webhooks\/[0-9]{10,25}\/[A-Za-z0-9_-]{20,}/y,
  },
  { name: "aws", starts: ["AKIA", "ASIA", "ABIA"], shape: /A[A-Z]IA[A-Z0-9]{16}(?![A-Z0-9])/y, after: "word" },
  { name: "google", starts: ["AIza"], shape: /AIza[A-Za-z0-9_-]{35,}/y },
  { name: "google", starts: ["ya29."], shape: /ya29\.[A-Za-z0-9_.-]{20,}/y },
  { name: "google", starts: ["GOCSPX-"], shape: /GOCSPX-[A-Za-z0-9_-]{20,}/y },
  { name: "npm", starts: ["npm_"], shape: /npm_[A-Za-z0-9]{30,}/y },
  {
    name: "gitlab",
    starts: ["glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-", "glft-", "glagent-"],
    shape: /gl[a-z]{2,5}-[A-Za-z0-9_.-]{20,}/y,
  },
  { name: "jwt", starts: ["eyJ"], shape: /eyJ[\w-]{8,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?/y, after: "token" },
  { name: "jwe", starts: ["eyJ"], shape: /eyJ[\w-]{8,}\.[\w-]*\.[\w-]{8,}\.[\w-]{16,}\.[\w-]{16,}/y, after: "token" },
  {
    name: "stripe",
    starts: ["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
    shape: /[sr]k_[a-z]{4}_[A-Za-z0-9]{10,}/y,
    after: "word",
    random: true,
  },
  { name: "webhook-secret", starts: ["whsec_"], shape: /whsec_[A-Za-z0-9+/=]{20,}/y },
  { name: "sendgrid", starts: ["SG."], shape: /SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}/y, after: "token" },
  {
    name: "twilio",
    starts: HEX_DIGITS.map((digit) => `SK${digit}`),
    shape: /SK[0-9a-f]{32}(?![0-9a-f])/y,
    after: "word",
  },
  { name: "huggingface", starts: ["hf_"], shape: /hf_[A-Za-z0-9]{30,}/y, after: "word" },
  { name: "pypi", starts: ["pypi-"], shape: /pypi-[A-Za-z0-9_-]{40,}/y },
  { name: "digitalocean", starts: ["dop_v1_", "doo_v1_", "dor_v1_"], shape: /do[a-z]_v1_[a-f0-9]{40,}/y },
  { name: "databricks", starts: ["dapi"], shape: /dapi[a-f0-9]{32}(?:-[0-9])?/y, after: "word" },
  { name: "shopify", starts: ["shpat_", "shpca_", "shppa_", "shpss_"], shape: /shp[a-z]{2}_[a-fA-F0-9]{32,}/y },
  { name: "mailgun", starts: ["key-"], shape: /key-[0-9a-z]{32}(?![0-9a-zA-Z])/y, after: "token", random: true },
  { name: "linear", starts: ["lin_api_"], shape: /lin_api_[A-Za-z0-9]{32,}/y },
  { name: "vault", starts: ["hvs.", "hvb.", "hvr."], shape: /hv[sbr]\.[A-Za-z0-9_-]{24,}/y },
  { name: "age", starts: ["AGE-SECRET-KEY-1"], shape: /AGE-SECRET-KEY-1[A-Z0-9]{40,}/y },
  { name: "newrelic", starts: ["NRAK-"], shape: /NRAK-[A-Z0-9]{20,}/y },
  { name: "groq", starts: ["gsk_"], shape: /gsk_[A-Za-z0-9]{40,}/y },
  { name: "xai", starts: ["xai-"], shape: /xai-[A-Za-z0-9]{40,}/y },
  { name: "replicate", starts: ["r8_"], shape: /r8_[A-Za-z0-9]{30,}/y, after: "word" },
  { name: "docker", starts: ["dckr_pat_"], shape: /dckr_pat_[A-Za-z0-9_-]{20,}/y },
  { name: "atlassian", starts: ["ATATT3"], shape: /ATATT3[A-Za-z0-9_=-]{40,}/y },
  { name: "postman", starts: ["PMAK-"], shape: /PMAK-[a-f0-9]{24}-[a-f0-9]{34}/y },
  { name: "grafana", starts: ["glsa_", "glc_"], shape: /gl(?:sa|c)_[A-Za-z0-9_+/=]{32,}/y },
  { name: "sentry", starts: ["sntrys_"], shape: /sntrys_[A-Za-z0-9_+/=]{32,}/y },
  { name: "figma", starts: ["figd_"], shape: /figd_[A-Za-z0-9_-]{30,}/y },
  { name: "supabase", starts: ["sbp_"], shape: /sbp_[a-f0-9]{40}/y },
  {
    name: "url-credentials",
    starts: ["://"],
    shape: /:\/\/(?:[^\s:@/"'<>]{0,128}:[^\s@/"'<>]{1,512}|[^\s:@/"'<>]{16,512})@/y,
  },
  {
    name: "bearer",
    starts: ["Bearer ", "bearer ", "BEARER "],
    shape: /bearer {1,4}[A-Za-z0-9._~+/-]{16,}={0,2}/iy,
    random: true,
  },
];

const MOST_JUDGED = 128;
/** n · log2 n, so that no logarithm is taken per match. */
const N_LOG_N = Float64Array.from({ length: MOST_JUDGED + 1 }, (_, n) => (n > 1 ? n * Math.log2(n) : 0));

/** Bits of information per character, of the first 128: words stay below 3.6 or so, drawn keys of twenty lie above. */
export function entropyOf(text: string): number {
  const length = Math.min(text.length, MOST_JUDGED);
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

/** A key has digits among its letters, and repeats few of them; names of functions and files have neither. */
export function looksDrawn(text: string): boolean {
  const entropy = entropyOf(text);
  return entropy >= 4 || (entropy >= 2.5 && /[0-9]/.test(text) && /[A-Za-z]/.test(text));
}
