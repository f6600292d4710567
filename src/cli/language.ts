import { en, type Messages } from './i18n.ts';

type Vars = Readonly<Record<string, string | undefined>>;

/** Chinese where the system says so (`LC_ALL`, else `LC_MESSAGES`, else `LANG`, beginning with `zh`, but for TW and HK). */
export function isChinese(vars: Vars): boolean {
  const locale = vars['LC_ALL'] || vars['LC_MESSAGES'] || vars['LANG'] || '';
  return /^zh([_.-]|$)/i.test(locale) && !/^zh[_-](TW|HK)/i.test(locale);
}

/** The texts of this person's language; English everywhere but in Chinese. */
export const messagesFor = async (vars: Vars): Promise<Messages> => (isChinese(vars) ? (await import('./i18n-zh.ts')).zh : en);

/** The summaries of commands and flags in this person's language. */
export async function summariesFor(vars: Vars): Promise<(summary: string) => string> {
  if (!isChinese(vars)) return (summary) => summary;
  const { summaries } = await import('./help-zh.ts');
  return (summary) => summaries[summary] ?? summary;
}
