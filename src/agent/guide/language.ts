export type Language = 'en' | 'zh';

/** The language to answer in: Chinese where a good part of the message's letters are Han, English else. */
export function languageOf(text: string): Language {
  const sample = text.slice(0, 2_000);
  const han = sample.match(/\p{Script=Han}/gu)?.length ?? 0;
  const letters = sample.match(/\p{L}/gu)?.length ?? 0;
  return han > 0 && han * 4 >= letters ? 'zh' : 'en';
}
