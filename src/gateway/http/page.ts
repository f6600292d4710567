import type { RouteHandler } from './route-handler.ts';
import { pageCsp } from './security-headers.ts';

const STYLE = `
:root{color-scheme:light dark;--ink:#1a1a1a;--dim:#595959;--paper:#fdfcfb;--line:#d9d4ce;--code:#f1ede8}
@media (prefers-color-scheme:dark){:root{--ink:#ececec;--dim:#a8a8a8;--paper:#161616;--line:#3a3a3a;--code:#242424}}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
main{max-width:42rem;margin:0 auto;padding:2rem 1.25rem 4rem}
section+section{margin-top:2.5rem;padding-top:2rem;border-top:1px solid var(--line)}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}h2{font-size:1.1rem;margin:1.6rem 0 .3rem}
p{margin:.4rem 0}.dim{color:var(--dim)}
pre{overflow-x:auto;margin:.5rem 0;padding:.7rem .9rem;background:var(--code);border-radius:.4rem}
code{font:.92em/1.5 ui-monospace,Menlo,Consolas,monospace}
`;

let csp: string | undefined;
const styleCsp = (): string => {
  const { createHash } = process.getBuiltinModule('node:crypto');
  csp ??= pageCsp(`sha256-${createHash('sha256').update(STYLE).digest('base64')}`);
  return csp;
};

const pre = (text: string): string => `<pre tabindex="0"><code>${text}</code></pre>`;

/** Static but for the port, which is a number: nothing a caller sends comes back. */
const page = (port: number): string => `<!doctype html>
<html lang="en">
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
<section lang="en">
<h1>OpenClaw Gateway is running</h1>
<p>An agent lives on this machine; this is the door to it. There is no control panel on this page yet.</p>
<h2>On this machine</h2>
${pre('openclaw chat\nopenclaw status --deep')}
<h2>From another machine, through SSH</h2>
${pre(`ssh -N -L ${port}:127.0.0.1:${port} user@this-host`)}
<p>Leave it open. In a second terminal there:</p>
${pre(`openclaw chat --url ws://127.0.0.1:${port} --token &lt;token&gt;`)}
<p class="dim">The token: <code>openclaw auth token --show</code>, here.</p>
<h2>For programs</h2>
<p><code>POST /v1/chat/completions</code> speaks like OpenAI's API, once <code>gateway.http.endpoints.chatCompletions.enabled</code> is true.</p>
</section>
<section lang="zh-CN">
<h2>OpenClaw 网关正在运行</h2>
<p>这台机器上住着一个智能体，这里是它的入口。此页面暂时没有控制面板。</p>
<h2>在本机</h2>
${pre('openclaw chat\nopenclaw status --deep')}
<h2>从另一台机器，通过 SSH</h2>
${pre(`ssh -N -L ${port}:127.0.0.1:${port} user@this-host`)}
<p>保持该窗口打开，在那台机器的第二个终端里运行：</p>
${pre(`openclaw chat --url ws://127.0.0.1:${port} --token &lt;token&gt;`)}
<p class="dim">令牌：在本机运行 <code>openclaw auth token --show</code>。</p>
<h2>供程序调用</h2>
<p>将 <code>gateway.http.endpoints.chatCompletions.enabled</code> 设为 true 后，<code>POST /v1/chat/completions</code> 与 OpenAI 的接口兼容。</p>
</section>
</main>
</body>
</html>
`;

/** `/`: what this is and how to get in. Needs no script, says nothing about who runs it. */
export const landingPage: RouteHandler = {
  underBase: true,
  handle: (exchange) =>
    exchange.send(200, 'text/html; charset=utf-8', page(exchange.facts.localPort ?? 18789), {
      'Content-Security-Policy': styleCsp(),
      'Cache-Control': 'no-cache',
    }),
};
