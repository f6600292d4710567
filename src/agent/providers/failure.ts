import { isRecord } from '../../lib/json.ts';
import type { RunError } from '../api.ts';
import { oneLine } from '../text.ts';
import type { ProviderFailure } from './model-stream.ts';

/** What a failure is told about. Secrets are the texts that must never appear in a message. */
export interface FailureContext {
  readonly provider: string;
  readonly model: string;
  readonly baseUrl: string;
  readonly keyHint: string;
  readonly secrets: readonly string[];
}

/** A provider answered with a redirect. It is not followed: the request carries a key and the conversation. */
export class ProviderRedirect extends Error {
  override readonly name = 'ProviderRedirect';
}
/** A stream went on past a bound; its message says which, in a few words. */
export class ProviderTooMuch extends Error {
  override readonly name = 'ProviderTooMuch';
}
/** Nothing came for too long. */
export class ProviderSilent extends Error {
  override readonly name = 'ProviderSilent';
  readonly waitedMs: number;
  constructor(waitedMs: number) {
    super('the provider went silent');
    this.waitedMs = waitedMs;
  }
}
/** The address or key of a provider may not be used. Its message and fix are for people. */
export class ProviderRefused extends Error {
  override readonly name = 'ProviderRefused';
  readonly kind: RunError['kind'];
  readonly fix: string | undefined;
  constructor(kind: RunError['kind'], message: string, fix?: string) {
    super(message);
    this.kind = kind;
    this.fix = fix;
  }
}

const MESSAGE_CHARS = 500;
/** A provider that wants us to wait longer is treated as one that fails: another model, or the person, decides. */
const MAX_RETRY_AFTER_MS = 30_000;

const BILLING = /insufficient[_ ]quota|billing|credit balance|payment|exceeded your current quota/i;
const CONTEXT =
  /exceed_context_size|context_length_exceeded|maximum context length|context (?:length|size|window)|prompt is too long|too many tokens/i;
const NO_TOOLS = /does not support tools|requires --jinja/i;
const TOOL_WORDS = /tools? (?:param|calling|use|choice)/i;
const REFUSED_WORDS = /not supported|unsupported|requires/i;
/** That a model has no tools, in the words of many servers: outright, or of tools and a refusal in one sentence. */
const saysNoTools = (text: string): boolean =>
  NO_TOOLS.test(text) ||
  text.split('.').some((sentence) => {
    const at = sentence.search(TOOL_WORDS);
    return at !== -1 && REFUSED_WORDS.test(sentence.slice(at));
  });
/** Of what a provider says about a failure, as much is looked at. */
const LOOKED_AT_CHARS = 2_000;
const NETWORK: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'name lookup failed',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'timed out',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_CONNECT_TIMEOUT: 'connecting timed out',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the stream stalled',
};
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS|SSL/;

/**
 * Anything that a model call threw, or put into its stream, as one typed error for people and for the retry rule. Total.
 * `textCame`: an answer had begun to arrive, so that a closed connection is a cut and not an unreachable server.
 */
export function providerFailure(thrown: unknown, context: FailureContext, textCame: boolean): ProviderFailure {
  const where = { provider: context.provider, model: context.model };
  const say = (text: string): string => cleaned(text, context.secrets);
  const origin = URL.canParse(context.baseUrl) ? new URL(context.baseUrl).origin : 'its address';
  const fail = (
    kind: RunError['kind'],
    message: string,
    retry: boolean,
    more: { fix?: string | undefined; status?: number | undefined } & Omit<ProviderFailure, 'error' | 'retry'> = {},
  ): ProviderFailure => {
    const { fix, status, ...rest } = more;
    return {
      error: {
        kind,
        message: say(message),
        ...where,
        ...(fix !== undefined && { fix: say(fix) }),
        ...(status !== undefined && { status }),
      },
      retry,
      ...rest,
    };
  };

  if (thrown instanceof ProviderRefused) return fail(thrown.kind, thrown.message, false, { fix: thrown.fix });
  if (thrown instanceof ProviderSilent) {
    return fail('timeout', `${context.provider} sent nothing for ${Math.round(thrown.waitedMs / 1000)} seconds.`, true, {
      fix: 'Check the model server; a smaller model or a shorter conversation answers faster.',
    });
  }
  // The SDK keeps the status of an answer whose body broke later.
  const begun = textCame || (isRecord(thrown) && typeof thrown['statusCode'] === 'number' && thrown['statusCode'] < 300);
  const codes = chain(thrown);
  if (codes.some(({ code }) => code === 'UND_ERR_HEADERS_OVERFLOW')) {
    return fail('malformed', `${context.provider} sent headers that are too long.`, false, {
      fix: `Check that ${origin} speaks the API set in models.providers.${context.provider}.api.`,
    });
  }
  const tooMuch = codes.find(({ name }) => name === 'ProviderTooMuch');
  if (tooMuch !== undefined) {
    return fail('malformed', `${context.provider} sent more than an answer may hold (${tooMuch.message}); it was stopped.`, false, {
      fix: 'Ask for less at a time, or choose another model: openclaw models list',
    });
  }
  if (codes.some(({ name }) => name === 'ProviderRedirect')) {
    return fail(
      'bad-request',
      `${origin} redirects elsewhere; the request was not sent on, because it carries your key and conversation.`,
      false,
      {
        fix: `Set models.providers.${context.provider}.baseUrl to the final address.`,
      },
    );
  }

  const status = statusOf(thrown);
  if (status !== undefined) return fromStatus(status, thrown);

  const network = codes.find(({ code }) => code !== undefined && Object.hasOwn(NETWORK, code));
  if (codes.some(({ code, message }) => CERTIFICATE.test(code ?? '') || /certificate/i.test(message))) {
    return fail('unreachable', `The certificate of ${origin} is not trusted.`, false, {
      fix: `Use an address whose certificate is valid, in models.providers.${context.provider}.baseUrl.`,
    });
  }
  if (begun && (network !== undefined || isCut(codes))) {
    return fail('cut', `${context.provider} stopped in the middle of its answer.`, true, { fix: 'Send the message again.' });
  }
  if (network !== undefined) {
    return fail('unreachable', `Nothing answers at ${origin} (${NETWORK[network.code ?? ''] ?? 'no connection'}).`, true, {
      // A service of somebody else is not started here: what is missing is the way to it.
      fix: origin.startsWith('https:')
        ? `Check this machine's way to the internet: curl -sSI ${origin}`
        : `Start the model server, or set models.providers.${context.provider}.baseUrl to where it runs.`,
    });
  }
  if (isCut(codes)) {
    return fail('cut', `${context.provider} closed the stream before its answer ended.`, true, { fix: 'Send the message again.' });
  }
  if (codes.some(({ name }) => /JSONParse|TypeValidation|InvalidResponseData|EmptyResponse|SyntaxError/.test(name))) {
    return fail('malformed', `${context.provider} sent an answer that cannot be read.`, true, {
      fix: `Check that ${origin} speaks the API set in models.providers.${context.provider}.api.`,
    });
  }
  // An error object inside the stream.
  if (isRecord(thrown) && !(thrown instanceof Error)) {
    const inner = isRecord(thrown['error']) ? thrown['error'] : thrown;
    const code = Number(inner['code'] ?? inner['status']);
    if (Number.isInteger(code) && code >= 400 && code < 600) return fromStatus(code, thrown);
    return fromStatus(/overloaded|server_error/i.test(JSON.stringify(inner).slice(0, 2000)) ? 503 : undefined, thrown);
  }
  if (begun) return fail('cut', `${context.provider} stopped in the middle of its answer.`, true, { fix: 'Send the message again.' });
  return fail('provider', `${context.provider} could not be asked: ${codes[0]?.message ?? 'unknown error'}`, false);

  function fromStatus(code: number | undefined, source: unknown): ProviderFailure {
    const body = bodyOf(source);
    const detail = detailOf(source, body) || `status ${code ?? 'unknown'}`;
    const type = [body?.['type'], body?.['code'], detail].map((part) => String(part ?? '').slice(0, LOOKED_AT_CHARS)).join(' ');
    if (saysNoTools(type)) {
      return fail('bad-request', `${context.model} cannot use tools: ${detail}`, false, { status: code, toolsUnsupported: true });
    }
    if (BILLING.test(type) || code === 402) {
      return fail('billing', `${context.provider} wants payment: ${detail}`, false, {
        status: code,
        fix: `Check the billing of your ${context.provider} account, or choose another model: openclaw models list`,
      });
    }
    if (code === 401 || code === 403) {
      return fail('auth', `${context.provider} refused the key (${code}): ${detail}`, false, { status: code, fix: context.keyHint });
    }
    if (code === 429) {
      const retryAfterMs = retryAfter(source);
      return fail('rate-limit', `${context.provider} has had too many requests: ${detail}`, (retryAfterMs ?? 0) <= MAX_RETRY_AFTER_MS, {
        status: code,
        fix: 'Wait a minute, or choose another model: openclaw models list',
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      });
    }
    if (CONTEXT.test(type)) {
      const window = num(body?.['n_ctx']);
      const asked = num(body?.['n_prompt_tokens']);
      const figures = window === undefined ? '' : ` It holds ${window} tokens${asked === undefined ? '' : `, this needs ${asked}`}.`;
      return fail('context-too-small', `The conversation does not fit into the context of ${context.model}.${figures}`, false, {
        status: code,
        fix: 'Begin anew with /new, start the model server with a larger context, or choose another model: openclaw models list',
        ...(window !== undefined && { contextTokens: window }),
        ...(asked !== undefined && { promptTokens: asked }),
      });
    }
    if (code === 404) {
      return fail('bad-request', `${context.provider} does not know ${context.model}, or has no such route: ${detail}`, false, {
        status: code,
        fix: 'Choose one of: openclaw models list',
      });
    }
    if (code === 408 || code === 504) return fail('timeout', `${context.provider} took too long: ${detail}`, true, { status: code });
    if (code === undefined || code >= 500) {
      const retryAfterMs = retryAfter(source);
      return fail(
        'provider',
        `${context.provider} failed (${code ?? 'in its stream'}): ${detail}`,
        (retryAfterMs ?? 0) <= MAX_RETRY_AFTER_MS,
        {
          status: code,
          fix: 'Try again, or choose another model: openclaw models list',
          ...(retryAfterMs !== undefined && { retryAfterMs }),
        },
      );
    }
    return fail('bad-request', `${context.provider} refused the request (${code}): ${detail}`, false, { status: code });
  }
}

const num = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);

interface Link {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
}
/** A thrown thing and its causes, at most eight deep. */
function chain(thrown: unknown): readonly Link[] {
  const links: Link[] = [];
  let current = thrown;
  while (current instanceof Error && links.length < 8) {
    const code = (current as { code?: unknown }).code;
    links.push({ name: current.name, code: typeof code === 'string' ? code : undefined, message: current.message });
    current = current.cause;
  }
  return links;
}
const isCut = (links: readonly Link[]): boolean =>
  links.some(
    ({ name, message }) =>
      message === 'terminated' || /ended without a finish reason|other side closed|premature/i.test(message) || name === 'StreamEnded',
  );

function statusOf(thrown: unknown): number | undefined {
  if (!isRecord(thrown)) return undefined;
  const status = num(thrown['statusCode']);
  // A 2xx here means that the body broke, not the request.
  return status !== undefined && status >= 400 ? status : undefined;
}

/** The `error` object of a provider's body, wherever it stands. */
function bodyOf(source: unknown): Readonly<Record<string, unknown>> | undefined {
  if (!isRecord(source)) return undefined;
  let parsed: unknown = source['responseBody'] === undefined ? source : undefined;
  if (typeof source['responseBody'] === 'string' && source['responseBody'].length < 1_000_000) {
    try {
      parsed = JSON.parse(source['responseBody']);
    } catch {
      return undefined;
    }
  }
  if (Array.isArray(parsed)) parsed = parsed[0];
  if (!isRecord(parsed)) return undefined;
  return isRecord(parsed['error']) ? parsed['error'] : parsed;
}

function detailOf(source: unknown, body: Readonly<Record<string, unknown>> | undefined): string {
  const candidates = [body?.['message'], isRecord(source) ? source['message'] : undefined];
  for (const candidate of candidates) if (typeof candidate === 'string' && candidate.trim() !== '') return oneLine(candidate, 300);
  return '';
}

function retryAfter(source: unknown): number | undefined {
  if (!isRecord(source) || !isRecord(source['responseHeaders'])) return undefined;
  const headers = source['responseHeaders'];
  const ms = Number(headers['retry-after-ms']);
  if (headers['retry-after-ms'] !== undefined && ms >= 0) return ms;
  const seconds = Number(headers['retry-after']);
  return headers['retry-after'] !== undefined && seconds >= 0 ? seconds * 1000 : undefined;
}

/** One line, bounded, with every secret masked: providers like to quote the key they refuse. */
function cleaned(message: string, secrets: readonly string[]): string {
  let text = message.slice(0, MESSAGE_CHARS * 4);
  for (const secret of secrets) if (secret.length >= 4) text = text.replaceAll(secret, '***');
  return oneLine(text.replace(/\b(?:sk|pk|key|xai|gsk)-[A-Za-z0-9_*-]{6,}/g, '***'), MESSAGE_CHARS);
}
