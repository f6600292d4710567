/**
 * `npm run build`: src/ and every production dependency become one bundle in dist/, which is all that runs and all that
 * is published.
 *
 * The output is CommonJS although the source is ESM: an ESM import of ten built-in modules costs 16 ms of a process that
 * lives for 40, `require` costs 4 (docs/adr/0001-one-bundle-and-its-own-node.md). Chunks carry their hash in the name and
 * those of earlier builds stay for a while, because a gateway that is running has not loaded all of its own yet.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, type OutputChunk, type Plugin } from 'rolldown';

const ROOT = path.join(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const ENTRY = path.join(ROOT, 'src/cli/main.ts');
const MANIFEST = 'build.json';
/** How long a gateway may run after newer builds and still find its own chunks. */
const KEEP_DAYS = 30;
const LICENCES = 'THIRD-PARTY-LICENSES.txt';
// As long as the id that replaces it, so that source maps stay true.
const BUILD_ID = '@build-id-@@';

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

async function main(): Promise<void> {
  const started = performance.now();
  const { version } = readJson(path.join(ROOT, 'package.json')) as { version: string };
  const { output } = await build({
    cwd: ROOT,
    input: { cli: ENTRY },
    platform: 'node',
    tsconfig: false,
    write: false,
    transform: {
      target: 'node24',
      define: {
        __OPENCLAW_VERSION__: JSON.stringify(version),
        __OPENCLAW_BUILD_ID__: JSON.stringify(BUILD_ID),
        'process.env.NODE_ENV': '"production"',
      },
    },
    output: {
      format: 'cjs',
      minify: true,
      comments: false,
      sourcemap: true,
      sourcemapExcludeSources: true,
      entryFileNames: '[name].cjs',
      chunkFileNames: 'chunks/[name]-[hash].cjs',
      hashCharacters: 'base36',
    },
    // `ws` tries these native helpers. The one is better done in a few lines of our own, the other is in Node since 18.
    resolve: { alias: { bufferutil: path.join(ROOT, 'src/net/bufferutil.ts') } },
    external: ['utf-8-validate'],
    plugins: [lateBuiltins('ws/lib/websocket.js', ['https', 'tls']), lateBuiltins('ws/lib/permessage-deflate.js', ['zlib'])],
    onLog(level, log, handler) {
      if (level !== 'debug' && level !== 'info') handler('error', log); // A warning of today is a crash of tomorrow.
    },
  });
  const chunks = output.filter((part) => part.type === 'chunk');
  const buildId = createHash('sha256')
    .update(chunks.map((chunk) => chunk.code).join('\0'))
    .digest('hex')
    .slice(0, BUILD_ID.length);

  const files = output.map((part) => ({
    name: part.fileName,
    text: part.type === 'chunk' ? part.code.replaceAll(BUILD_ID, buildId) : String(part.source),
  }));
  files.push({ name: LICENCES, text: licences(chunks) });
  write(files, { version, buildId });

  const bytes = chunks.reduce((sum, chunk) => sum + chunk.code.length, 0);
  console.log(
    `Built ${version} (${buildId}): ${chunks.length} chunks, ${(bytes / 1e6).toFixed(2)} MB, ${Math.round(performance.now() - started)} ms`,
  );
}

/**
 * Built-ins that a file requires at its top and needs in few cases are required where they are used: `tls` and `https` cost
 * 5 ms of every process that speaks plain WebSocket. Fails when the file no longer looks as expected.
 */
function lateBuiltins(file: string, names: readonly string[]): Plugin {
  return {
    name: `late-builtins:${file}`,
    transform: {
      filter: { id: new RegExp(`node_modules/${file}$`) },
      handler(code) {
        // Line by line as before, so the source map (`null`: as it was) still leads to the right place.
        const moved = names.reduce((text, name) => {
          const top = `const ${name} = require('${name}');`;
          if (!text.includes(top)) throw new Error(`${file} does not say "${top}" any more: look at scripts/build.ts`);
          // Comments speak of them too; in code they are always followed by a member.
          return text.replace(top, '').replaceAll(new RegExp(`\\b${name}\\.(?=\\w+[(;\\s),])`, 'g'), `require('${name}').`);
        }, code);
        return { code: moved, map: null };
      },
    },
  };
}

/** Chunks first, the entry at the end, each by a rename: whoever starts meanwhile gets the old build or the new one, whole. */
function write(files: readonly { name: string; text: string }[], build: { version: string; buildId: string }): void {
  mkdirSync(path.join(DIST, 'chunks'), { recursive: true });
  const entry = files.find((file) => file.name === 'cli.cjs');
  if (entry === undefined) throw new Error('the bundle has no cli.cjs');
  const put = (file: { name: string; text: string }): void => {
    const temporary = path.join(DIST, `${file.name}.${process.pid}.new`);
    writeFileSync(temporary, file.text);
    renameSync(temporary, path.join(DIST, file.name));
  };
  for (const file of files) if (file !== entry) put(file);
  put(entry);

  const names = files.map((file) => file.name);
  const keep = new Set([...names, MANIFEST]);
  const old = Date.now() - KEEP_DAYS * 86_400_000;
  for (const file of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
    const full = path.join(file.parentPath, file.name);
    if (!file.isFile() || keep.has(path.relative(DIST, full).replaceAll('\\', '/'))) continue;
    if (path.basename(file.parentPath) !== 'chunks' || statSync(full).mtimeMs < old) rmSync(full);
  }
  writeFileSync(path.join(DIST, MANIFEST), `${JSON.stringify({ ...build, files: names }, null, 2)}\n`);
}

/** Name, version and licence text of every package that has a module in the bundle. Throws where a package states no licence. */
function licences(chunks: readonly OutputChunk[]): string {
  const dirs = new Set<string>();
  for (const id of chunks.flatMap((chunk) => chunk.moduleIds)) {
    const dir = /^\0?(.*[/\\]node_modules[/\\](?:@[^/\\]+[/\\])?[^/\\]+)[/\\]/.exec(id)?.[1];
    if (dir !== undefined) dirs.add(dir);
  }
  const sections = [...dirs].map((dir) => {
    const pkg = readJson(path.join(dir, 'package.json')) as { name: string; version: string; license?: string };
    if (pkg.license === undefined) throw new Error(`${pkg.name} is bundled and states no licence`);
    const file = readdirSync(dir).find((name) => /^licen[cs]e/i.test(name));
    const text = file === undefined ? '' : `\n\n${readFileSync(path.join(dir, file), 'utf8').trim()}`;
    return `${pkg.name} ${pkg.version}: ${pkg.license}${text}`;
  });
  return `The bundle in this directory contains code of these packages.\n\n${sections.sort().join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
