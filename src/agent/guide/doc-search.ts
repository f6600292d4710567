import { fs, path } from '../builtins.ts';

/** A section of the project's own documents that answers a question. */
export interface DocHit {
  /** `remote-access.md` */
  readonly file: string;
  readonly heading: string;
  readonly text: string;
  readonly score: number;
}
interface Section {
  readonly file: string;
  readonly heading: string;
  readonly text: string;
  readonly words: ReadonlyMap<string, number>;
  readonly headingWords: ReadonlySet<string>;
}

const MAX_FILES = 60;
const MAX_FILE_BYTES = 200_000;
const MAX_SECTION_CHARS = 1_400;
/** A section must hold at least this much of what was asked; below it the guide says what it can do instead. */
const MIN_SCORE = 5;

// A greeting asks for nothing: it gets the overview.
const STOP = new Set(
  'hello hi hey hallo thanks thank ok okay test testing yes no a an and are as at be by can could do does for from get give go has have help how i if in is it me my need of on or please should so tell that the then there this to use want was we what when where which who why will with would you your'.split(
    ' ',
  ),
);
// Words of people for words of the documents, both languages.
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  laptop: ['remote', 'tunnel', 'ssh'],
  phone: ['remote', 'device', 'pair'],
  outside: ['remote'],
  vps: ['remote', 'server'],
  远程: ['remote', 'ssh', 'tunnel'],
  笔记本: ['remote', 'ssh', 'tunnel'],
  电脑: ['remote'],
  隧道: ['tunnel', 'ssh'],
  连接: ['connect'],
  模型: ['model'],
  密钥: ['key'],
  令牌: ['token'],
  密码: ['password'],
  配置: ['config'],
  状态: ['status'],
  安装: ['install'],
  启动: ['start'],
  设备: ['device'],
  配对: ['pair'],
  端口: ['port'],
  工具: ['tool'],
  安全: ['security'],
};

/** Words of a text, lower case, plural forms cut; Chinese words that are known stand for their English ones. */
export function wordsOf(text: string): string[] {
  const words = (text.toLowerCase().match(/[a-z0-9]+(?:[._-]+[a-z0-9]+)*/g) ?? [])
    .filter((word) => !STOP.has(word) && word.length > 1)
    .map((word) => (word.length > 4 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word));
  const more = Object.entries(SYNONYMS).flatMap(([word, meant]) =>
    (/\p{Script=Han}/u.test(word) ? text.includes(word) : words.includes(word)) ? meant : [],
  );
  return [...words, ...more];
}

/** Reads the documents at the first question and finds the sections that fit one, best first. */
export function createDocSearch(docsDir: () => string): (question: string) => Promise<readonly DocHit[]> {
  let loading: Promise<readonly Section[]> | undefined;
  return async (question) => {
    loading ??= load(docsDir()).catch(() => []);
    const sections = await loading;
    const asked = [...new Set(wordsOf(question))];
    if (asked.length === 0) return [];
    // A word that stands in few sections says more.
    const rarity = new Map(
      asked.map((word) => [word, Math.log(1 + sections.length / (1 + sections.filter(({ words }) => words.has(word)).length))]),
    );
    return sections
      .map((section): DocHit => {
        let score = 0;
        for (const word of asked) {
          const times = section.words.get(word) ?? 0;
          if (times > 0)
            score += (rarity.get(word) ?? 0) * (1 + Math.min(3, Math.log2(1 + times)) + (section.headingWords.has(word) ? 2 : 0));
        }
        return { file: section.file, heading: section.heading, text: section.text, score };
      })
      .filter(({ score }) => score >= MIN_SCORE)
      .sort((a, b) => b.score - a.score)
      .slice(0, 3);
  };
}

async function load(dir: string): Promise<readonly Section[]> {
  const names = (await fs.promises.readdir(dir, { recursive: true }))
    .filter((name) => name.endsWith('.md') && !/(^|[\\/])adr[\\/]/.test(name))
    .sort();
  const sections: Section[] = [];
  for (const name of names.slice(0, MAX_FILES)) {
    const file = path.join(dir, name);
    if ((await fs.promises.stat(file)).size > MAX_FILE_BYTES) continue;
    sections.push(...sectionsOf(name.replaceAll('\\', '/'), await fs.promises.readFile(file, 'utf8')));
  }
  return sections;
}

function sectionsOf(file: string, text: string): Section[] {
  const sections: Section[] = [];
  let title = '';
  let heading = '';
  let body: string[] = [];
  let fenced = false;
  const close = (): void => {
    const content = body.join('\n').trim();
    body = [];
    if (content === '') return;
    const counts = new Map<string, number>();
    for (const word of wordsOf(`${title} ${heading} ${content}`)) counts.set(word, (counts.get(word) ?? 0) + 1);
    const shown =
      content.length <= MAX_SECTION_CHARS
        ? content
        : `${content.slice(0, content.lastIndexOf('\n', MAX_SECTION_CHARS) > 0 ? content.lastIndexOf('\n', MAX_SECTION_CHARS) : MAX_SECTION_CHARS)}\n…`;
    sections.push({
      file,
      heading: heading || title,
      text: closed(shown),
      words: counts,
      headingWords: new Set(wordsOf(`${title} ${heading}`)),
    });
  };
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) fenced = !fenced;
    const head = fenced ? null : /^(#{1,3})\s+(\S.*)?$/.exec(line);
    if (head === null) body.push(line);
    else {
      close();
      heading = head[2] ?? '';
      if (head[1] === '#') title = heading;
    }
  }
  close();
  return sections;
}

/** A code block that the cut left open is closed. */
const closed = (text: string): string => ((text.match(/^```/gm)?.length ?? 0) % 2 === 1 ? `${text}\n\`\`\`` : text);
