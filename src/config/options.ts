import { shownUrl } from '../lib/shown-url.ts';
import { withoutTail } from '../lib/without-tail.ts';
import { foreignPath } from './local-path.ts';
import { bool, type Complaint, either, type Infer, int, list, map, num, object, oneOf, open, optional, secret, str } from './spec.ts';

const MiB = 1024 * 1024;

const asText = (value: unknown): string => (typeof value === 'string' ? value.trim().toLowerCase() : '');

// What people write for `bind`, with the word that means it.
function bindHint(value: unknown): string | undefined {
  const text = asText(value);
  if (['localhost', '127.0.0.1', '::1', 'local'].includes(text)) return 'gateway.bind: "loopback"';
  if (['0.0.0.0', '::', '*', 'all', 'public'].includes(text)) return 'gateway.bind: "lan"  (every interface; needs a token or a password)';
  if (['tailscale', 'ts'].includes(text)) return 'gateway.bind: "tailnet", or leave it and set gateway.tailscale.mode: "serve"';
  return /^\d+\.\d+\.\d+\.\d+$/.test(text) ? `gateway.bind: "custom", gateway.customBindHost: "${text}"` : undefined;
}

function urlOf(...schemes: readonly string[]): (value: string) => Complaint | undefined {
  const example = `${schemes[0]}://host`;
  return (value) => {
    // A placeholder that no variable filled is judged where the value is used: the file may be valid on another machine.
    if (value.includes('${')) return undefined;
    const url = URL.parse(value);
    if (url === null || url.host === '') return { message: 'is not a URL', fix: `Write it in full: "${example}"` };
    return schemes.includes(url.protocol.slice(0, -1))
      ? undefined
      : { message: `must begin with ${schemes.map((s) => `${s}://`).join(' or ')}`, fix: `For example "${example}"` };
  };
}

function originOrStar(value: string): Complaint | undefined {
  if (value === '*' || value.includes('${')) return undefined;
  const url = URL.parse(value);
  if (url === null || url.host === '')
    return { message: 'is not an origin', fix: 'An origin is scheme, host and port: "https://panel.example.com"' };
  // Browsers send origins without a path; one with a path would never match.
  return url.origin === 'null' || url.origin === value.toLowerCase().replace(/\/$/, '')
    ? undefined
    : { message: 'has more than scheme, host and port', fix: `"${url.origin}"` };
}

const localPath = (value: string): Complaint | undefined => foreignPath(value);

const basePath = (value: string): string => {
  const inner = withoutTail(value.trim(), '/').replace(/^\/+/, '');
  return inner === '' ? '' : `/${inner}`;
};

// The spelling of IPv6 is judged by the part that listens.
const hostAddress = (value: string): Complaint | undefined => {
  const parts = value.split('.');
  if (parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return /^[0-9a-fA-F:.]+$/.test(value) && value.includes(':') && URL.canParse(`http://[${value}]`)
    ? undefined
    : { message: 'is not an IP address', fix: 'Write four numbers without leading zeros: "192.168.1.10"' };
};

const ipOrCidr = (value: string): Complaint | undefined =>
  /^[0-9a-fA-F:.]+(\/\d{1,3})?$/.test(value) && /[.:]/.test(value)
    ? undefined
    : { message: 'is not an IP address or network', fix: 'For example "10.0.0.5" or "10.0.0.0/8"' };

const fingerprint = (value: string): Complaint | undefined => {
  if (value.includes('${')) return undefined;
  return /^[0-9a-f]{64}$/i.test(value.replace(/^sha-?256:/i, '').replaceAll(':', ''))
    ? undefined
    : { message: 'is not a SHA-256 fingerprint', fix: '64 hex digits, with or without colons' };
};

const urlImages = (maxBytes: number, allowUrl: boolean) => ({
  allowUrl: bool('Fetch images by URL.', { default: allowUrl }),
  urlAllowlist: list(str('A host name.'), 'Hosts that images may be fetched from.'),
  allowedMimes: list(str('A MIME type.'), 'MIME types that are taken.'),
  maxBytes: int('Largest image, bytes.', { default: maxBytes, min: 1 }),
  maxRedirects: int('Redirects that are followed.', { default: 3, min: 0, max: 20 }),
  timeoutMs: int('Deadline of one fetch, ms.', { default: 10_000, min: 1 }),
});

const auth = object(
  'Who may connect.',
  {
    mode: oneOf(
      ['none', 'token', 'password', 'trusted-proxy'],
      'What the server checks. Unset: a password if there is one, else a token.',
      { flag: '--auth' },
    ),
    token: secret('The shared token. Prefer OPENCLAW_GATEWAY_TOKEN or a SecretRef.'),
    password: secret('The shared password. Prefer OPENCLAW_GATEWAY_PASSWORD or a SecretRef.'),
    allowTailscale: bool(
      'Accept Tailscale identity behind Serve. Unset: on when tailscale.mode is "serve" and the mode is neither password nor trusted-proxy.',
    ),
    tailscaleOwners: list(str('A Tailscale login.'), "Logins that count as the gateway's owner, beside the one its node belongs to.", {
      default: [],
    }),
    rateLimit: object('Limits wrong credentials, per credential kind and address. Always on.', {
      maxAttempts: int('Wrong tries before an address is locked.', { default: 10, min: 1 }),
      windowMs: int('The window in which they count, ms.', { default: 60_000, min: 1_000 }),
      lockoutMs: int('How long the lock lasts, ms.', { default: 300_000, min: 1_000 }),
      exemptLoopback: bool('Slow local callers instead of locking them. Browsers are locked in any case.', { default: true }),
    }),
    trustedProxy: optional('Identity that a reverse proxy vouches for.', {
      userHeader: str('The header that names the user. Required for mode "trusted-proxy".'),
      requiredHeaders: list(str('A header name.'), 'Headers that must be there too.', { default: [] }),
      allowUsers: list(str('A user.'), 'Users that are let in. An empty list lets nobody in.', { default: [] }),
      scopes: list(str('A scope.'), 'Scopes of such a user.', { default: ['operator.read', 'operator.write'] }),
      allowLoopback: bool('A proxy on this machine may vouch.'),
      deviceAutoApprove: open('Automatic approval of devices; not used by this version.'),
      cloudflareAccessOidc: open('Cloudflare Access; not used by this version.'),
    }),
    identityScopes: open('Scopes per identity; not used by this version.'),
  },
  { guard: true, reload: 'hot' },
);

const remote = object(
  'The gateway that this machine\'s clients talk to when mode is "remote". Never guards a server.',
  {
    url: str('Its WebSocket URL.', {
      check: urlOf('wss', 'ws'),
      hint: (v) => (/^https?:/.test(asText(v)) ? `"${shownUrl(asText(v).replace(/^http/, 'ws'))}"` : undefined),
    }),
    transport: oneOf(['ssh', 'direct'], 'How the desktop companion reaches it.', { default: 'ssh' }),
    token: secret('The token that clients send.'),
    password: secret('The password that clients send.'),
    tlsFingerprint: str('SHA-256 of its certificate; needs wss://.', { check: fingerprint, plain: true }),
    sshTarget: str('user@host[:port] of the managed tunnel.'),
    sshIdentity: str('Key file of the managed tunnel.', { check: localPath }),
    remotePort: int('The port on the far side of the tunnel.', { min: 1, max: 65535 }),
    sshHostKeyPolicy: oneOf(['strict', 'openssh'], 'How unknown host keys are treated.'),
    edgeAuth: open('Credentials for a proxy in front of it; not used by this version.'),
  },
  // Guarded although it is only a client's: without the pin, or with another address, a secret would go astray.
  { reload: 'none', guard: true },
);

const gateway = object(
  'The gateway: one port for WebSocket and HTTP.',
  {
    // Guarded: clients send secrets to it, and on a guessed port somebody else may listen.
    port: int('The port.', { default: 18789, min: 1, max: 65535, env: 'OPENCLAW_GATEWAY_PORT', flag: '--port', guard: true }),
    mode: oneOf(['local', 'remote'], '"remote": this machine runs no gateway, its clients use gateway.remote. Unset means local.', {
      guard: true,
    }),
    bind: oneOf(
      ['auto', 'lan', 'loopback', 'custom', 'tailnet'],
      'The addresses it listens on. Anything but loopback needs a token or a password.',
      {
        default: 'loopback',
        flag: '--bind',
        guard: true,
        hint: bindHint,
      },
    ),
    customBindHost: str('The address for bind "custom".', { check: hostAddress, guard: true }),
    publicUrl: str('The URL under which people reach it through a proxy or a tunnel service.', {
      check: urlOf('https', 'http'),
      guard: true,
    }),
    publicOrigin: str('Name of publicUrl in other versions.', { check: urlOf('https', 'http'), guard: true, aliasOf: 'gateway.publicUrl' }),
    auth,
    trustedProxies: list(str('An address or network.', { check: ipOrCidr }), 'Proxies whose forwarding headers are believed.', {
      default: [],
      guard: true,
    }),
    allowRealIpFallback: bool('Use X-Real-IP of a trusted proxy that sends no X-Forwarded-For.', { default: false, guard: true }),
    tailscale: object(
      'Tailscale Serve and Funnel. The gateway stays on loopback.',
      {
        mode: oneOf(['off', 'serve', 'funnel'], 'serve: the tailnet; funnel: the internet, needs a password.', {
          default: 'off',
          flag: '--tailscale',
          hint: (v) =>
            v === true || asText(v) === 'on'
              ? 'gateway.tailscale.mode: "serve"'
              : v === false
                ? 'gateway.tailscale.mode: "off"'
                : undefined,
        }),
        resetOnExit: bool('Take our own route away when the gateway stops.', { default: false, flag: '--tailscale-reset-on-exit' }),
        preserveFunnel: bool('Leave a Funnel that others made; ours never touches one.', {
          deprecated: 'routes of others are never touched',
        }),
      },
      { guard: true },
    ),
    remote,
    tls: object(
      'TLS on the port itself.',
      {
        enabled: bool('Serve https and wss.', { default: false }),
        autoGenerate: bool('Make a self-signed certificate when there is none.', { default: true }),
        certPath: str('Certificate (PEM). Default: <state>/gateway/tls/gateway-cert.pem.', { check: localPath }),
        keyPath: str('Key (PEM). Default: <state>/gateway/tls/gateway-key.pem.', { check: localPath }),
        caPath: str('CA of client certificates (PEM).', { check: localPath }),
      },
      { guard: true },
    ),
    controlUi: object('The control panel.', {
      enabled: bool('Serve it.', { default: true }),
      basePath: str('The path it lives under, "" for the root.', { default: '', tidy: basePath }),
      root: str('Another directory with its files.', { check: localPath }),
      allowedOrigins: list(str('An origin, or "*".', { check: originOrStar }), 'Further origins that may connect from a browser.', {
        default: [],
        guard: true,
      }),
      dangerouslyAllowHostHeaderOriginFallback: bool('Accepted for old files; changes nothing.', {
        default: false,
        deprecated: 'the own Host is always accepted, and no other',
      }),
      allowInsecureAuth: bool('A browser on this machine may connect without a device key. Local only.', {
        default: false,
        guard: true,
        deprecated: 'only honoured for local browsers',
      }),
      dangerouslyDisableDeviceAuth: bool('The same, by its other name. Local only.', {
        default: false,
        guard: true,
        deprecated: 'only honoured for local browsers',
      }),
      environment: open('Display of the environment; not used by this version.'),
      embedSandbox: open('Sandbox of embeds; not used by this version.'),
    }),
    tools: object(
      'Tools over POST /tools/invoke.',
      {
        deny: list(str('A tool.'), 'Denied beside the default list.', { default: [] }),
        allow: list(str('A tool.'), 'Taken off the default deny list.', { default: [] }),
      },
      { guard: true },
    ),
    channelHealthCheckMinutes: int('Minutes between health checks of channels; 0: never.', { default: 5, min: 0, reload: 'hot' }),
    reload: object(
      'What happens when this file changes.',
      {
        mode: oneOf(['off', 'restart', 'hot', 'hybrid'], 'hybrid: in place where possible, else a restart.', { default: 'hybrid' }),
        debounceMs: int('Quiet time before a change is read, ms. More than 1,000 is cut to that.', { default: 300, min: 0, max: 60_000 }),
      },
      { reload: 'none' },
    ),
    eventLog: object('The durable log of what was told.', {
      keepDays: num('How long an event is kept, days.', {
        default: 90,
        min: 1,
      }),
      keepEvents: int('How many events are kept at most, about 200 bytes each.', { default: 1_000_000, min: 1_000 }),
    }),
    http: object('HTTP APIs.', {
      endpoints: object('Which of them are on.', {
        chatCompletions: object('POST /v1/chat/completions, and GET /v1/models with it.', {
          enabled: bool('On. Always needs the token or password.', { default: false }),
          keepSessionsHours: num('How long a session that a call made without a name is kept after its answer, hours. 0: not at all.', {
            default: 24,
            min: 0,
          }),
          maxBodyBytes: int('Largest request, bytes.', { default: 20 * MiB, min: 1 }),
          maxImageParts: int('Images per request.', { default: 8, min: 0 }),
          maxTotalImageBytes: int('Bytes of all images together.', { default: 20 * MiB, min: 0 }),
          images: object('Images by URL.', urlImages(10 * MiB, false)),
        }),
        responses: object('POST /v1/responses.', {
          enabled: bool('On. Always needs the token or password.', { default: false }),
          maxBodyBytes: int('Largest request, bytes.', { default: 20 * MiB, min: 1 }),
          maxUrlParts: int('Parts given by URL, per request.', { default: 8, min: 0 }),
          files: object('Files by URL.', {
            ...urlImages(5 * MiB, true),
            maxChars: int('Characters kept of one file.', { default: 200_000, min: 1 }),
            pdf: object('PDF files.', {
              maxPages: int('Pages read.', { default: 4, min: 1 }),
              maxPixels: int('Pixels per rendered page.', { default: 4_000_000, min: 1 }),
              minTextChars: int('Fewer characters of text: render the page.', { default: 200, min: 0 }),
            }),
          }),
          images: object('Images by URL.', urlImages(10 * MiB, true)),
        }),
      }),
      securityHeaders: object('Response headers.', {
        strictTransportSecurity: either([str("The header's value."), bool('false: not sent.')], 'HSTS, for HTTPS that you control.'),
      }),
    }),
    push: object('Push messages.', {
      apns: object('Apple.', {
        relay: optional('A relay.', {
          baseUrl: str('Its URL.', { check: urlOf('https', 'http') }),
          timeoutMs: int('Deadline, ms.', { default: 10_000, min: 1 }),
        }),
      }),
    }),
    nodes: object(
      'Nodes: other machines that offer their abilities.',
      {
        browser: object('Which node serves browser requests.', {
          mode: oneOf(['auto', 'manual', 'off'], 'auto: the only one that can.', { default: 'auto' }),
          node: str('Its name or id, for manual.'),
        }),
        allowCommands: list(str('A command.'), 'Commands allowed beside the default list.', { default: [] }),
        denyCommands: list(str('A command.'), 'Commands denied in any case.', { default: [] }),
        commands: optional('The same lists by their names in other versions.', {
          allow: list(str('A command.'), 'Name of allowCommands in other versions.', { aliasOf: 'gateway.nodes.allowCommands' }),
          deny: list(str('A command.'), 'Name of denyCommands in other versions.', { aliasOf: 'gateway.nodes.denyCommands' }),
        }),
        pairing: open('Automatic approval of nodes; not used by this version: nodes are always approved.'),
      },
      { guard: true },
    ),
    portals: open('Portals; not used by this version.'),
    roles: open('Roles; not used by this version.'),
  },
  { reload: 'restart' },
);

const MODEL_APIS = [
  'openai-completions',
  'openai-responses',
  'openai-codex-responses',
  'anthropic-messages',
  'google-generative-ai',
  'bedrock-converse-stream',
  'github-copilot',
  'ollama',
] as const;

const model = object('A model.', {
  id: str('The id that the provider knows.'),
  name: str('A name for people.'),
  api: oneOf(MODEL_APIS, "The API it speaks; default: the provider's."),
  reasoning: bool('It thinks before it answers.'),
  input: list(oneOf(['text', 'image', 'audio', 'video', 'document'], 'A kind of input.'), 'What it takes.'),
  cost: optional('Price per million tokens.', {
    input: num('Input.', { default: 0, min: 0 }),
    output: num('Output.', { default: 0, min: 0 }),
    cacheRead: num('Cached input.', { default: 0, min: 0 }),
    cacheWrite: num('Input written to the cache.', { default: 0, min: 0 }),
  }),
  contextWindow: int('Tokens of context.', { min: 1 }),
  maxTokens: int('Tokens of one answer.', { min: 1 }),
  headers: map(str('A value.', { sensitive: true }), 'Headers sent with its requests.'),
  compat: open('Peculiarities of the server.'),
});

const models = object(
  'Model providers.',
  {
    mode: oneOf(['merge', 'replace'], 'replace: only the providers of this file.', { default: 'merge' }),
    providers: map(
      object('A provider.', {
        baseUrl: str('Where its API lies.', { check: urlOf('https', 'http') }),
        apiKey: secret('Its key.'),
        api: oneOf(MODEL_APIS, 'The API it speaks.'),
        auth: oneOf(['api-key', 'aws-sdk', 'oauth', 'token'], 'How it authenticates.'),
        authHeader: bool('Send the key as Authorization: Bearer.'),
        headers: map(secret('A value.'), 'Headers sent with every request.'),
        injectNumCtxForOpenAICompat: bool('Tell Ollama the context size.'),
        timeoutSeconds: int('Deadline of a request, s.', { min: 1 }),
        models: list(model, 'Its models.', { default: [] }),
      }),
      'Providers by name.',
    ),
  },
  { reload: 'hot' },
);

const modelChoice = either(
  [
    str('provider/model'),
    object('A model and what to try when it fails.', {
      primary: str('provider/model'),
      fallbacks: list(str('provider/model'), 'Tried in this order.', { default: [] }),
    }),
  ],
  'The model: "provider/model", or {primary, fallbacks}.',
);

const heartbeat = optional(
  'Regular turns without a message.',
  {
    every: str('Interval, e.g. "30m"; "0m": never.'),
    model: str('provider/model'),
    session: str('The session it runs in.'),
    target: str('none, last, or a channel.'),
    to: str('The recipient.'),
    prompt: str('What it is asked.'),
    ackMaxChars: int('Longest reply that counts as "nothing to say".', { default: 300, min: 0 }),
    activeHours: open('{start, end, timezone}'),
    includeReasoning: bool('Send its reasoning too.'),
    lightContext: bool('Leave most of the context out.'),
    suppressToolErrorWarnings: bool('Say nothing of failed tools.'),
  },
  { reload: 'hot' },
);

const toolPolicy = {
  profile: oneOf(['minimal', 'coding', 'messaging', 'full'], 'The set of tools to begin with.'),
  allow: list(str('A tool or group.'), 'Only these tools. Unset: all of the profile.'),
  alsoAllow: list(str('A tool or group.'), 'These beside the profile.'),
  deny: list(str('A tool or group.'), 'Never these; wins over allow.'),
  byProvider: open('Policies per provider.'),
};

const agent = object('An agent.', {
  id: str('Its id, part of session keys.'),
  default: bool('Used where none is named.'),
  name: str('A name for people.'),
  workspace: str('The directory it works in.', { check: localPath }),
  agentDir: str('Its private directory.', { check: localPath }),
  model: modelChoice,
  identity: optional('How it presents itself.', {
    name: str('Name.'),
    theme: str('Theme.'),
    emoji: str('Emoji.'),
    avatar: str('Picture: file in the workspace, or URL.'),
  }),
  tools: optional('Its tools.', toolPolicy),
  skills: list(str('A skill.'), 'Only these skills.'),
  heartbeat,
  subagents: open('Agents it may start.'),
  sandbox: open('Sandbox of its tools.'),
  groupChat: open('Behaviour in groups.'),
  memorySearch: open('Search in memory files.'),
  params: open('Parameters sent with requests.'),
  runtime: open('Runtime; not used by this version.'),
});

const agents = object(
  'Agents.',
  {
    defaults: object('What holds for every agent.', {
      workspace: str('The directory it works in. Default: <state>/workspace.', { check: localPath }),
      repoRoot: str('The repository shown in the prompt.'),
      model: { ...modelChoice, reload: 'hot' },
      imageModel: modelChoice,
      models: map(
        object('A model.', {
          alias: str('A short name.'),
          params: open('Parameters sent with requests.'),
          streaming: bool('Stream its answers.'),
        }),
        'Known models by "provider/model". Not empty: only these may be chosen.',
        { reload: 'hot' },
      ),
      maxConcurrent: int('Runs at a time with one provider; over all providers four times as many.', { default: 4, min: 1 }),
      timeoutSeconds: int('Deadline of a run, s.', { default: 600, min: 1 }),
      contextTokens: int('Context to use at most, tokens.', { min: 1 }),
      maxTokens: int('Tokens of one answer.', { min: 1 }),
      temperature: num('Sampling temperature.', { min: 0 }),
      maxSteps: int('Model calls in one run.', { min: 1 }),
      thinkingDefault: str('off, minimal, low, medium, high, …'),
      verboseDefault: str('on, off or full'),
      skipBootstrap: bool('Make no starter files in the workspace.'),
      bootstrapMaxChars: int('Characters kept of one prompt file.', { default: 20_000, min: 0 }),
      bootstrapTotalMaxChars: int('Characters kept of all prompt files.', { default: 150_000, min: 0 }),
      userTimezone: str('Time zone of the user, e.g. "Europe/Berlin".'),
      timeFormat: str('auto, 12 or 24'),
      compaction: open('When and how old turns are summed up.'),
      contextPruning: open('Which tool results are dropped from the context.'),
      memorySearch: open('Search in memory files.'),
      subagents: open('Agents started by agents.'),
      sandbox: open('Sandbox of tools.'),
      blockStreamingDefault: str('on or off'),
      typingMode: str('When a channel shows "typing".'),
      mediaMaxMb: num('Largest attachment, MB.', { min: 0 }),
      heartbeat,
    }),
    list: list(agent, 'The agents. Empty: one, "main".', { default: [] }),
    entries: map(agent, 'Agents by id, as other versions keep them.'),
  },
  { reload: 'none' },
);

const secretProvider = object('Where secrets come from.', {
  source: oneOf(['env', 'file', 'exec', 'store'], 'Its kind.'),
  allowlist: list(str('A variable.'), 'env: only these variables.'),
  path: str('file: the file. Must belong to the user and be readable by nobody else.', { check: localPath }),
  mode: oneOf(['json', 'singleValue'], 'file: a JSON document, or one value.', { default: 'json' }),
  timeoutMs: int('Deadline, ms.', { default: 5_000, min: 1, max: 120_000 }),
  maxBytes: int('file: largest size, bytes.', { default: MiB, min: 1, max: 20 * MiB }),
  command: str('exec: recognised, not supported by this version.'),
  args: list(str('An argument.'), 'exec: recognised, not supported by this version.'),
  env: open('exec: recognised, not supported by this version.'),
  passEnv: list(str('A variable.'), 'exec: recognised, not supported by this version.'),
  noOutputTimeoutMs: int('exec: recognised, not supported by this version.', { min: 1 }),
  maxOutputBytes: int('exec: recognised, not supported by this version.', { min: 1 }),
  jsonOnly: bool('exec: recognised, not supported by this version.'),
  allowSymlinkCommand: bool('exec: recognised, not supported by this version.'),
  trustedDirs: list(str('A directory.'), 'exec: recognised, not supported by this version.'),
  allowInsecurePath: bool('exec: recognised, not supported by this version.'),
});

/** The whole file. */
export const CONFIG = object(
  'openclaw.json',
  {
    $schema: str('The JSON Schema, for editors.', { reload: 'none' }),
    gateway,
    models,
    agents,
    tools: object(
      'What agents may do.',
      {
        ...toolPolicy,
        fs: object('Files.', { workspaceOnly: bool('Only inside the workspace.', { default: true }) }),
        exec: open('Commands.'),
        web: open('Web search and fetch.'),
        media: open('Media.'),
        message: open('Messages.'),
        agentToAgent: open('Messages between agents.'),
        sessions: open('Reach into other sessions.'),
        elevated: open('Elevated commands.'),
        loopDetection: open('Stops repeated calls.'),
        subagents: open('Tools of subagents.'),
        sandbox: open('Tools in the sandbox.'),
      },
      { reload: 'none' },
    ),
    session: object(
      'Sessions.',
      {
        scope: oneOf(['per-sender', 'global'], 'Who shares a session.', { default: 'per-sender' }),
        dmScope: oneOf(['main', 'per-peer', 'per-channel-peer', 'per-account-channel-peer'], 'Who shares a session in direct messages.', {
          default: 'main',
        }),
        mainKey: str('Name of the main session.', { default: 'main' }),
        idleMinutes: int('Minutes of silence after which a session begins anew.', { min: 1 }),
        reset: open('When a session begins anew: {mode, atHour, idleMinutes}.'),
        resetByType: open('The same per kind of chat.'),
        resetByChannel: open('The same per channel.'),
        resetTriggers: list(str('A message.'), 'Messages that begin anew.', { default: ['/new', '/reset'] }),
        identityLinks: open('Peers that are one person.'),
        typingIntervalSeconds: int('Seconds between signs of typing.', { min: 1 }),
        store: str('Where other versions keep sessions; not used by this version.'),
        maintenance: open('Clean-up; not used by this version.'),
        sendPolicy: open('Who may be written to.'),
        agentToAgent: open('Messages between agents.'),
        parentForkMaxTokens: int('Largest session that is forked, tokens.', { min: 0 }),
        threadBindings: open('Threads.'),
      },
      { reload: 'none' },
    ),
    messages: object(
      'Messages.',
      {
        queue: object('What happens to a message that comes while the agent is busy.', {
          mode: oneOf(
            ['steer', 'followup', 'collect', 'steer-backlog', 'steer+backlog', 'interrupt', 'queue'],
            'collect: all waiting messages become the next turn.',
            { default: 'collect' },
          ),
          byChannel: open('The mode per channel.'),
          debounceMs: int('Quiet time before the next turn, ms.', { default: 1_000, min: 0 }),
          debounceMsByChannel: open('The same per channel.'),
          cap: int('Waiting messages per session.', { default: 20, min: 1 }),
          drop: oneOf(['summarize', 'old', 'new'], 'What goes when there are more.', { default: 'summarize' }),
        }),
        inbound: open('Debounce of incoming messages.'),
        groupChat: open('Behaviour in groups.'),
        responsePrefix: str('Text before every reply.'),
        messagePrefix: str('Text before every message.'),
        ackReaction: str('Reaction to a message that is being worked on.'),
        ackReactionScope: str('Where it is used.'),
        removeAckAfterReply: bool('Take it away afterwards.'),
        statusReactions: open('Reactions that show progress.'),
        suppressToolErrors: bool('Say nothing of failed tools.'),
        tts: open('Speech.'),
      },
      { reload: 'none' },
    ),
    logging: object(
      'Logs.',
      {
        level: oneOf(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'], 'How much goes to the file.', {
          default: 'info',
          env: 'OPENCLAW_LOG_LEVEL',
        }),
        file: str('The file. Default: <state>/gateway/logs/openclaw-YYYY-MM-DD.log.', { check: localPath }),
        maxFileBytes: int('Size at which a file is closed, bytes.', { min: 1 }),
        consoleLevel: oneOf(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'], 'How much goes to the terminal.', {
          default: 'info',
        }),
        consoleStyle: oneOf(['pretty', 'compact', 'json'], 'How it looks there.', { default: 'pretty' }),
        redactSensitive: oneOf(['off', 'tools'], 'Secrets in tool output. Our own lines are always redacted.', { default: 'tools' }),
        redactPatterns: list(str('A regular expression.'), 'Further texts to redact.', { default: [] }),
      },
      { reload: 'none' },
    ),
    ui: object(
      'How things look.',
      {
        seamColor: str('Accent colour.'),
        assistant: object('The assistant.', { name: str('Name.'), avatar: str('Picture: emoji, letters, file or URL.') }),
      },
      { reload: 'none' },
    ),
    env: object(
      'Environment for models and tools. Never overrides what is set.',
      {
        vars: map(str('A value.', { sensitive: true }), 'Variables by name.'),
        shellEnv: object('Import from the login shell; not used by this version.', {
          enabled: bool('On.', { default: false }),
          timeoutMs: int('Deadline, ms.', { default: 15_000, min: 1 }),
        }),
      },
      { reload: 'hot', rest: str('A variable.', { sensitive: true }) },
    ),
    secrets: object(
      'Where secrets come from.',
      {
        providers: map(secretProvider, 'Providers by name.'),
        defaults: object('The provider of a reference that names none.', {
          env: str('Name.', { default: 'default' }),
          file: str('Name.', { default: 'default' }),
          exec: str('Name.', { default: 'default' }),
        }),
        resolution: object('Limits.', {
          maxProviderConcurrency: int('Providers asked at a time.', { default: 4, min: 1 }),
          maxRefsPerProvider: int('References per provider.', { default: 512, min: 1 }),
          maxBatchBytes: int('Bytes per batch.', { default: 262_144, min: 1 }),
        }),
      },
      { reload: 'hot', guard: true },
    ),
    discovery: object(
      'Being found in the local network.',
      {
        mdns: object('Bonjour.', { mode: oneOf(['off', 'minimal', 'full'], 'How much is told.', { default: 'minimal' }) }),
        wideArea: object('DNS-SD.', { enabled: bool('On.', { default: false }), domain: str('The domain.') }),
      },
      { reload: 'restart' },
    ),
    canvasHost: object(
      'Pages made by agents.',
      {
        enabled: bool('On.', { default: true }),
        root: str('Their directory.', { check: localPath }),
        port: int('A port of their own.', { min: 1, max: 65535 }),
        liveReload: bool('Reload pages when files change.', { default: true }),
      },
      { reload: 'restart' },
    ),
    hooks: object(
      'Webhooks.',
      {
        enabled: bool('On.', { default: false }),
        path: str('Their path; not "/".', {
          default: '/hooks',
          check: (v) => (v === '/' || v === '' ? { message: 'may not be the root', fix: 'hooks.path: "/hooks"' } : undefined),
        }),
        token: secret("Their token; another one than the gateway's."),
        maxBodyBytes: int('Largest request, bytes.', { default: 262_144, min: 1 }),
        defaultSessionKey: str('The session they write to.'),
        allowRequestSessionKey: bool('A request may name its session.', { default: false }),
        allowedSessionKeyPrefixes: list(str('A prefix.'), 'Sessions it may name.'),
        allowedAgentIds: list(str('An agent.'), 'Agents it may name.'),
        presets: list(str('A preset.'), 'Ready-made mappings.', { default: [] }),
        mappings: list(open('A mapping.'), 'Paths and what they do.', { default: [] }),
        transformsDir: str('Directory of transforms; not used by this version.', { check: localPath }),
        gmail: open('Gmail; not used by this version.'),
        internal: open('Internal hooks; not used by this version.'),
      },
      { reload: 'hot', guard: true },
    ),
    cron: object(
      'Scheduled runs.',
      {
        enabled: bool('On.', { default: true }),
        store: str('Where other versions keep jobs.'),
        maxConcurrentRuns: int('Runs at a time.', { min: 1 }),
        webhook: str('URL told of results.', { check: urlOf('https', 'http') }),
        webhookToken: secret('Its token.'),
        sessionRetention: either([str('A duration.'), bool('false: for ever.')], 'How long sessions of runs are kept.'),
        retry: open('Retries.'),
        runLog: open('The log of runs.'),
        failureAlert: open('Alerts.'),
        failureDestination: open('Where they go.'),
      },
      { reload: 'hot' },
    ),
    browser: object(
      'A browser for agents.',
      {
        enabled: bool('On.', { default: true }),
        defaultProfile: str('The profile that is used.'),
        headless: bool('Without a window.'),
        noSandbox: bool("Without the browser's own sandbox."),
        evaluateEnabled: bool('Agents may run scripts in pages.', { default: true }),
        executablePath: str('The browser.'),
        attachOnly: bool('Never start one.'),
        cdpUrl: str('A browser that runs elsewhere.'),
        color: str('Colour of the window.'),
        remoteCdpTimeoutMs: int('Deadline, ms.', { min: 1 }),
        remoteCdpHandshakeTimeoutMs: int('Deadline, ms.', { min: 1 }),
        extraArgs: list(str('An argument.'), 'Further arguments.'),
        ssrfPolicy: open('{dangerouslyAllowPrivateNetwork, hostnameAllowlist}'),
        snapshotDefaults: open('Defaults of snapshots.'),
        profiles: open('Profiles by name.'),
      },
      { reload: 'hot' },
    ),
    nodeHost: object(
      'This machine as a node.',
      {
        browserProxy: object('Its browser.', {
          enabled: bool('On.', { default: true }),
          allowProfiles: list(str('A profile.'), 'Profiles that may be used.', { default: [] }),
        }),
      },
      { reload: 'restart' },
    ),
    commands: object(
      'Chat commands.',
      {
        restart: bool('Allow restarts.', { default: true }),
        native: either([bool('On or off.'), str('auto')], 'Commands of the channel itself.'),
        nativeSkills: either([bool('On or off.'), str('auto')], 'Skills as such commands.'),
        text: bool('Commands as text.'),
        bash: bool('/bash.'),
        config: bool('/config.'),
        debug: bool('/debug.'),
        mcp: bool('/mcp.'),
        plugins: bool('/plugins.'),
        useAccessGroups: bool('Access groups.'),
        bashForegroundMs: int('Time until /bash goes to the background, ms.', { min: 0 }),
        allowFrom: open('Who may use them.'),
        ownerAllowFrom: list(either([str('A peer.'), num('A peer.')], 'A peer.'), 'Owners.'),
        ownerDisplay: str('How owners are shown.'),
        ownerDisplaySecret: secret('Key of their pseudonyms.'),
      },
      { reload: 'none', guard: true },
    ),
    channels: open('Channels by name.', { reload: 'hot' }),
    web: open('The web channel.', { reload: 'hot' }),
    bindings: list(open('A binding.'), 'Which agent answers where.', { default: [], reload: 'none' }),
    broadcast: open('Groups with several agents.', { reload: 'none' }),
    skills: open('Skills.', { reload: 'none' }),
    memory: open('Memory.', { reload: 'restart' }),
    plugins: open('Plugins; not used by this version.', { reload: 'restart' }),
    mcp: open('MCP servers.', { reload: 'none' }),
    acp: open('Agent client protocol; not used by this version.', { reload: 'restart' }),
    approvals: open('Forwarding of approvals.', { reload: 'restart' }),
    audio: open('Audio.', { reload: 'none' }),
    media: open('Media.', { reload: 'none' }),
    talk: open('Talk mode.', { reload: 'none' }),
    diagnostics: open('Diagnostics.', { reload: 'restart' }),
    update: open('Updates; not used by this version, which calls nobody.', { reload: 'restart' }),
    cli: open('The command line.', { reload: 'none' }),
    cliAgents: open("Other agents' command lines; not used by this version.", { reload: 'restart' }),
    terminal: open('Terminals; not used by this version.', { reload: 'restart' }),
    auth: open('Model accounts; keys belong into models.providers.', { reload: 'none' }),
    wizard: open('Notes of the set-up of other versions.', { reload: 'none' }),
    meta: open('Notes of the version that wrote the file.', { reload: 'none' }),
    identity: open('Name of the assistant in old files.', { reload: 'none' }),
    agent: open('The agent in old files.', { reload: 'none' }),
    routing: open('Routing in old files.', { reload: 'none' }),
  },
  { reload: 'restart' },
);

export type Config = Infer<typeof CONFIG>;
export type AgentsConfig = Config['agents'];
export type AgentConfig = AgentsConfig['list'][number];
export type SecretsConfig = Config['secrets'];

/** Variables that no key of the file stands for, for help and docs. */
export const ENV_VARIABLES: readonly { readonly name: string; readonly doc: string }[] = [
  { name: 'OPENCLAW_HOME', doc: 'The home directory that ~ and the default state dir are under.' },
  { name: 'OPENCLAW_STATE_DIR', doc: 'The state dir. Default: ~/.openclaw.' },
  { name: 'OPENCLAW_CONFIG_PATH', doc: 'The config file. Default: openclaw.json in the state dir.' },
  { name: 'OPENCLAW_PROFILE', doc: 'A profile: state dir ~/.openclaw-NAME.' },
  { name: 'OPENCLAW_GATEWAY_TOKEN', doc: 'The shared token.' },
  { name: 'OPENCLAW_GATEWAY_PASSWORD', doc: 'The shared password.' },
  { name: 'OPENCLAW_GATEWAY_URL', doc: 'The gateway that clients talk to.' },
  { name: 'OPENCLAW_ALLOW_INSECURE_PRIVATE_WS', doc: '1: clients may use ws:// to private addresses. Everything is readable on the way.' },
  { name: 'OPENCLAW_NIX_MODE', doc: '1: the config is managed elsewhere, nothing writes it.' },
];
