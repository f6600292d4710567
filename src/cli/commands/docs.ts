import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';

/** `openclaw docs`: the documentation that came with this program; nothing is fetched. */
export const run: Run = async ({ out, args }) => {
  const fs = process.getBuiltinModule('node:fs');
  const path = process.getBuiltinModule('node:path');
  const root = packageRoot(path.dirname(process.argv[1] ?? '.'));
  const found = root === undefined ? [] : listDocs(root);
  const [topic] = args;
  const shown = topic === undefined ? found : found.filter((file) => file.toLowerCase().includes(topic.toLowerCase()));
  if (shown.length === 0) throw new UserError('NO_SUCH_PAGE', out.text.noPage, { fix: 'openclaw docs' });
  out.result({ root: root ?? null, files: shown });
  for (const file of shown) out.line(file);
  return EXIT.ok;

  function packageRoot(from: string): string | undefined {
    for (let dir = fs.realpathSync(from); ; dir = path.dirname(dir)) {
      if (fs.existsSync(path.join(dir, 'package.json')) && fs.existsSync(path.join(dir, 'SPEC.md'))) return dir;
      if (path.dirname(dir) === dir) return undefined;
    }
  }
  function listDocs(dir: string): string[] {
    const top = ['README.md', 'README.zh-CN.md', 'SECURITY.md', 'SPEC.md'].map((name) => path.join(dir, name));
    const pages = fs.existsSync(path.join(dir, 'docs'))
      ? fs.readdirSync(path.join(dir, 'docs'), { recursive: true }).map((name) => path.join(dir, 'docs', String(name)))
      : [];
    return [...top, ...pages].filter((file) => file.endsWith('.md') && fs.existsSync(file)).sort();
  }
};
