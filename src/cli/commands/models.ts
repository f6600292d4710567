import { editConfig } from '../../config/edit.ts';
import { nearestName } from '../../config/near.ts';
import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { oneLine } from '../format/text.ts';
import { count } from '../format/values.ts';
import { tryOpen, USE, withGateway } from '../gateway.ts';
import { number, record, records, text, texts } from '../read-json.ts';
import { usableConfig } from '../target.ts';
import { usage } from '../usage.ts';

/** `openclaw models`: what can be talked to now. */
export const list: Run = async (context) => {
  const { out, flags } = context;
  const { text: t } = out;
  return withGateway(context, { scopes: USE, device: 'make' }, async (gateway) => {
    const refresh = flags.on('refresh') && gateway.target.endpoint.door === 'admin';
    const answer = refresh ? await gateway.call('models.refresh', {}, { timeoutMs: 30_000 }) : await gateway.call('models.list', {});
    const models = records(record(answer)['models']);
    out.result({ ...answer, models });
    const real = models.filter((model) => model['provider'] !== 'builtin');
    if (models.length > 0) {
      out.line(
        table(
          t.modelColumns,
          models.map((model) => [
            `${text(model['provider']) ?? '?'}/${text(model['id']) ?? '?'}`,
            text(model['name']) ?? '',
            number(model['contextWindow']) === undefined ? '' : count(number(model['contextWindow']) ?? 0),
            texts(model['input']).join(' '),
          ]),
          out.paint.bold,
          out.room,
        ),
      );
    }
    if (real.length === 0) {
      const isElsewhere = gateway.target.mode === 'remote';
      out.line(t.guideAnswers);
      out.line(out.todo(t.next, isElsewhere ? t.onGateway('openclaw models try') : `openclaw models try   (${t.noteModelTry})`));
    }
    return EXIT.ok;
  });
};

/** `openclaw models set provider/model`: the default, written into the config file. */
export const set: Run = async (context) => {
  const { args, out, paths, env } = context;
  const [ref] = args;
  if (ref === undefined) throw usage(out.text.whichModel, 'openclaw models');
  if (!/^[^\s/]+\/\S+$/.test(ref)) throw usage(out.text.modelForm(ref.slice(0, 60)), 'openclaw models');
  const config = await usableConfig(context);
  if (config.config.gateway.mode === 'remote') {
    throw new UserError('REMOTE_CONFIG', out.text.isClient, { fix: out.text.onGateway(`openclaw models set ${oneLine(ref, 80)}`) });
  }
  // A name that no gateway knows is most likely a typing error; without a running one it cannot be told.
  const opened = await tryOpen(context, { scopes: ['operator.read'], device: 'have' });
  if (opened.ok) {
    const answer = await opened.value.client.request('models.list', {});
    opened.value.close();
    const known = answer.ok
      ? records(record(answer.value)['models']).map((model) => oneLine(`${String(model['provider'])}/${String(model['id'])}`, 80))
      : undefined;
    if (known !== undefined && !known.includes(ref)) {
      const near = nearestName(ref, known) ?? known.find((name) => name.startsWith(ref.slice(0, ref.indexOf('/') + 1))) ?? known[0];
      throw new UserError('MODEL_UNKNOWN', out.text.modelUnknown(oneLine(ref, 80), known.slice(0, 8).join(', ')), {
        fix: near === undefined ? 'openclaw models try' : `openclaw models set ${near}`,
      });
    }
  }
  const model = config.config.agents.defaults.model;
  const path = typeof model === 'object' && model !== null ? 'agents.defaults.model.primary' : 'agents.defaults.model';
  const edited = await editConfig({ paths, env: env.vars }, [{ op: 'set', path, value: ref }]);
  if (!edited.ok) throw edited.error;
  out.result({ path, value: ref, file: edited.value.file, changed: edited.value.changed });
  out.line(out.text.modelSet(ref, `${path}, ${edited.value.file}`));
  out.line(out.todo(out.text.next, opened.ok ? 'openclaw chat' : 'openclaw gateway run'));
  return EXIT.ok;
};
