import type { Here } from '../ports.ts';
import { GUIDE_VIEW } from '../providers/catalog.ts';
import type { Probe } from '../providers/local-servers.ts';
import { type ConnectedModel, NO_USAGE } from '../providers/model-stream.ts';
import type { DocHit } from './doc-search.ts';
import { type Language, languageOf } from './language.ts';

/** What the guide knows of this machine. Keys by the names of their variables, never a value. */
export interface GuideFacts {
  readonly here: Here;
  readonly servers: readonly Probe[];
  readonly keyNames: readonly string[];
  readonly python: { readonly found: boolean; readonly text: string };
}
export interface GuidePorts {
  readonly facts: () => Promise<GuideFacts>;
  readonly search: (question: string) => Promise<readonly DocHit[]>;
}

/**
 * `builtin/guide`: answers until a model is connected. It is no language model and says so; it tells what it found on
 * this machine, how to connect a model, how to get in from elsewhere, and quotes the project's own documents.
 */
export function guideModel(ports: GuidePorts): ConnectedModel {
  return {
    view: GUIDE_VIEW,
    api: 'builtin',
    tools: false,
    async *stream(call, signal) {
      const last = call.messages.findLast(({ role }) => role === 'user');
      const question = last?.text ?? '';
      const [facts, hits] = await Promise.all([ports.facts(), ports.search(question)]);
      for (const piece of pieces(guideAnswer(question, facts, hits))) {
        if (signal.aborted) return;
        yield { type: 'text', delta: piece };
        // One turn of the loop each, so that it streams as a model does and blocks nobody.
        await new Promise((resolve) => setImmediate(resolve));
      }
      yield { type: 'finish', reason: 'stop', usage: NO_USAGE };
    },
  };
}

/** About a line at a time. */
function pieces(text: string): string[] {
  return text.match(/[^\n]{1,80}\s?|\n+/g) ?? [text];
}

/** The whole answer. Pure. */
export function guideAnswer(question: string, facts: GuideFacts, hits: readonly DocHit[]): string {
  const language = languageOf(question);
  const t = TEXTS[language];
  const best = hits[0];
  const parts = [t.whoIAm];
  const topic = topicOf(question);
  if (topic === 'remote') parts.push(t.remote(facts.here));
  if (topic === 'status') parts.push(t.status);
  if (best !== undefined && topic !== 'model') parts.push(`${t.fromDocs(best)}\n\n${best.text}`);
  parts.push(found(facts, language), t.connect(facts));
  if (topic !== 'remote') parts.push(t.remote(facts.here));
  if (topic !== 'status') parts.push(t.status);
  return parts.join('\n\n');
}

function topicOf(question: string): 'remote' | 'status' | 'model' | undefined {
  const text = question.toLowerCase();
  if (/laptop|remote|tunnel|\bssh\b|other (machine|computer|device)|from (my|outside)|远程|笔记本|隧道|另一台|别的电脑/.test(text))
    return 'remote';
  if (/\bstatus\b|health|running|状态|健康|正常/.test(text)) return 'status';
  if (/model|ollama|api key|\bkey\b|llm|模型|密钥/.test(text)) return 'model';
  return undefined;
}

const SERVER_NAMES = { ollama: 'Ollama', lmstudio: 'LM Studio', llamacpp: 'llama.cpp' } as const;

function found({ servers, keyNames, python }: GuideFacts, language: Language): string {
  const t = TEXTS[language];
  const lines = servers.map((probe) => serverLine(probe, t));
  lines.push(keyNames.length > 0 ? t.keys(keyNames) : t.noKeys);
  lines.push(python.found ? t.python(python.text) : t.noPython(python.text));
  return `${t.foundHere}\n${lines.map((line) => `- ${line}`).join('\n')}`;
}

function serverLine(probe: Probe, t: Texts): string {
  const name = SERVER_NAMES[probe.spec.kind];
  const port = URL.canParse(probe.spec.url) ? new URL(probe.spec.url).port : '';
  switch (probe.state) {
    case 'found':
      return t.serverEmpty(name, port);
    case 'foreign':
      return t.serverForeign(name, port, probe.uid);
    case 'other':
      return t.serverOther(name, port);
    case 'nothing':
      return t.serverNone(name, port);
  }
}

interface Texts {
  readonly whoIAm: string;
  readonly foundHere: string;
  readonly noKeys: string;
  readonly status: string;
  serverEmpty(name: string, port: string): string;
  serverForeign(name: string, port: string, uid: number): string;
  serverOther(name: string, port: string): string;
  serverNone(name: string, port: string): string;
  keys(names: readonly string[]): string;
  python(version: string): string;
  noPython(why: string): string;
  fromDocs(hit: DocHit): string;
  connect(facts: GuideFacts): string;
  remote(here: Here): string;
}

const sshLine = ({ port, user, host }: Here): string => `ssh -N -L ${port}:127.0.0.1:${port} ${user}@${host}`;

const TEXTS: Readonly<Record<Language, Texts>> = {
  en: {
    whoIAm:
      'I am the guide built into OpenClaw, **not a language model**: no model is connected yet, so I can only tell you what I found and how to go on.',
    foundHere: 'What I found on this machine:',
    noKeys: 'No provider key in the environment (ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY).',
    status: '`openclaw status --deep` shows the whole path, hop by hop; `openclaw health` answers whether all is well.',
    serverEmpty: (name, port) => `${name} answers on port ${port}, but has no chat model loaded.`,
    serverForeign: (name, port, uid) =>
      `Something like ${name} on port ${port} belongs to another user (uid ${uid}); it is not used unless you name it in models.providers.`,
    serverOther: (name, port) => `Port ${port} answers, but not as ${name}.`,
    serverNone: (name, port) => `No ${name} (port ${port}).`,
    keys: (names) => `Keys in the environment: ${names.join(', ')}.`,
    python: (version) => `Python ${version}: the small local model can be installed.`,
    noPython: (why) => `The small local model cannot be installed yet: ${why}`,
    fromDocs: (hit) => `From the documents (docs/${hit.file}, "${hit.heading}"):`,
    connect: ({ python }) =>
      [
        'To connect a model, one of:',
        `- \`openclaw models try\` puts a small real model here (130 MB download, 245 MiB of memory${python.found ? '' : '; needs Python first'}). Good for trying things, not clever.`,
        '- Ollama: install it, `ollama pull llama3.2`, and it is found by itself.',
        '- A key: start the gateway with ANTHROPIC_API_KEY or OPENAI_API_KEY set, or put it into the `.env` of the state dir.',
      ].join('\n'),
    remote: (here) =>
      `To reach this gateway from another machine, run there:\n\n\`\`\`sh\n${sshLine(here)}\n\`\`\`\n\nand leave it open; \`openclaw status\` on that machine then talks to this one. \`openclaw auth token --show\`, run here, prints the token to use.`,
  },
  zh: {
    whoIAm: '我是 OpenClaw 内置的向导，**不是语言模型**：目前还没有连接任何模型，我只能告诉你我发现了什么，以及下一步怎么做。',
    foundHere: '在这台机器上发现：',
    noKeys: '环境变量里没有任何模型服务的密钥（ANTHROPIC_API_KEY、OPENAI_API_KEY、GEMINI_API_KEY、OPENROUTER_API_KEY）。',
    status: '`openclaw status --deep` 逐段显示整条路径；`openclaw health` 告诉你是否一切正常。',
    serverEmpty: (name, port) => `${name} 在端口 ${port} 上有应答，但没有可以聊天的模型。`,
    serverForeign: (name, port, uid) =>
      `端口 ${port} 上像是 ${name} 的程序属于另一个用户（uid ${uid}）；除非写进 models.providers，否则不会使用它。`,
    serverOther: (name, port) => `端口 ${port} 有应答，但不是 ${name}。`,
    serverNone: (name, port) => `没有 ${name}（端口 ${port}）。`,
    keys: (names) => `环境变量里的密钥：${names.join('、')}。`,
    python: (version) => `Python ${version}：可以安装本地小模型。`,
    noPython: (why) => `还不能安装本地小模型：${why}`,
    fromDocs: (hit) => `文档（docs/${hit.file}，“${hit.heading}”）里写道：`,
    connect: ({ python }) =>
      [
        '连接模型，任选其一：',
        `- \`openclaw models try\` 在这里装一个真实的小模型（下载 130 MB，占内存 245 MiB${python.found ? '' : '；需要先装 Python'}）。适合试用，并不聪明。`,
        '- Ollama：安装后执行 `ollama pull llama3.2`，网关会自己发现它。',
        '- 密钥：设置 ANTHROPIC_API_KEY 或 OPENAI_API_KEY 后启动网关，或写进状态目录的 `.env`。',
      ].join('\n'),
    remote: (here) =>
      `要从另一台机器访问这个网关，在那台机器上运行：\n\n\`\`\`sh\n${sshLine(here)}\n\`\`\`\n\n并保持它开着；那台机器上的 \`openclaw status\` 就会连到这里。令牌用 \`openclaw auth token --show\`（在这台机器上运行）查看。`,
  },
};
