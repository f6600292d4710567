import type { RouteHandler } from './route-handler.ts';
import { pageCsp } from './security-headers.ts';

const STYLE = `
:root{color-scheme:light dark;--ink:#1a1a1a;--dim:#595959;--paper:#fdfcfb;--line:#d9d4ce;--code:#f1ede8}
@media (prefers-color-scheme:dark){:root{--ink:#ececec;--dim:#a8a8a8;--paper:#161616;--line:#3a3a3a;--code:#242424}}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
main{max-width:42rem;margin:0 auto;padding:2rem 1.25rem 4rem}
section+section{margin-top:2.5rem;padding-top:2rem;border-top:1px solid var(--line)}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}h2{font-size:1.1rem;margin:1.6rem 0 .3rem}h2:first-child{font-size:1.4rem;margin-top:0}
p{margin:.4rem 0}.dim{color:var(--dim)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.5rem 0;padding:.7rem .9rem;background:var(--code);border-radius:.4rem}
code{font:.92em/1.5 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}.k{white-space:nowrap}
pre span{display:block;padding-left:1.4em;text-indent:-1.4em}
`;

let csp: string | undefined;
const styleCsp = (): string => {
  const { createHash } = process.getBuiltinModule('node:crypto');
  csp ??= pageCsp(`sha256-${createHash('sha256').update(STYLE).digest('base64')}`);
  return csp;
};

/** Commands, one a line; one that is too long for the screen goes on indented. */
const pre = (text: string): string =>
  `<pre><code>${text
    .split('\n')
    .map((line) => `<span>${line}</span>`)
    .join('')}</code></pre>`;

interface Words {
  readonly lang: 'en' | 'zh-CN';
  readonly running: string;
  readonly what: string;
  readonly here: string;
  readonly elsewhere: string;
  readonly leaveOpen: string;
  readonly token: string;
  readonly programs: string;
  readonly api: string;
}
const SHOW = '<code class="k">openclaw auth token --show</code>';
const API = '<code class="k">POST /v1/chat/completions</code>';
const SWITCH = '<code>gateway.http.endpoints.<wbr>chatCompletions.enabled</code>';
const EN: Words = {
  lang: 'en',
  running: 'OpenClaw Gateway is running',
  what: 'An agent lives on this machine; this is the door to it. There is no control panel on this page yet.',
  here: 'On this machine',
  elsewhere: 'From another machine, through SSH',
  leaveOpen: 'Leave it open. Then, in a second terminal there:',
  token: `It asks for the token once: ${SHOW}, here, prints it.`,
  programs: 'For programs',
  api: `${API} speaks like OpenAI's API, once ${SWITCH} is true.`,
};
const ZH: Words = {
  lang: 'zh-CN',
  running: 'OpenClaw 网关正在运行',
  what: '这台机器上住着一个智能体，这里是它的入口。此页面暂时没有控制面板。',
  here: '在本机',
  elsewhere: '从另一台机器，通过 SSH',
  leaveOpen: '保持该窗口打开。然后在那台机器的第二个终端里运行：',
  token: `它会询问一次令牌：在本机运行 ${SHOW} 即可打印。`,
  programs: '供程序调用',
  api: `将 ${SWITCH} 设为 true 后，${API} 与 OpenAI 的接口兼容。`,
};

/**
 * A client of this gateway for good. The token is asked for: as an argument it would stay in the shell's history. That question is the last
 * line: of a block that is pasted whole, the next one would be taken for the answer.
 */
const remote = (port: number): string =>
  [
    'openclaw config set gateway.mode remote',
    `openclaw config set gateway.remote.url ws://127.0.0.1:${port}`,
    'openclaw config set gateway.remote.token -',
  ].join('\n');

const section = (w: Words, heading: 'h1' | 'h2', port: number): string => `<section lang="${w.lang}">
<${heading}>${w.running}</${heading}>
<p>${w.what}</p>
<h2>${w.here}</h2>
${pre('openclaw chat\nopenclaw status --deep')}
<h2>${w.elsewhere}</h2>
${pre(`ssh -N -L ${port}:127.0.0.1:${port} user@this-host`)}
<p>${w.leaveOpen}</p>
${pre(remote(port))}
<p class="dim">${w.token}</p>
${pre('openclaw chat')}
<h2>${w.programs}</h2>
<p>${w.api}</p>
</section>`;

/** Both languages, the reader's first. Static but for the port, which is a number: nothing a caller sends comes back. */
const page = (port: number, [first, second]: readonly [Words, Words]): string => `<!doctype html>
<html lang="${first.lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>OpenClaw Gateway</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main>
${section(first, 'h1', port)}
${section(second, 'h2', port)}
</main>
</body>
</html>
`;

/** `/`: what this is and how to get in. Needs no script, says nothing about who runs it. */
export const landingPage: RouteHandler = {
  underBase: true,
  handle: (exchange) => {
    const isChinese = /^\s*zh\b/i.test(exchange.header('accept-language') ?? '');
    exchange.send(200, 'text/html; charset=utf-8', page(exchange.facts.localPort ?? 18789, isChinese ? [ZH, EN] : [EN, ZH]), {
      'Content-Security-Policy': styleCsp(),
      'Cache-Control': 'no-cache',
      Vary: 'Accept-Language',
    });
  },
};
