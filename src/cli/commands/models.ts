import { editConfig } from '../../config/edit.ts';
import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { oneLine } from '../format/text.ts';
import { count } from '../format/values.ts';
import { tryOpen, withGateway } from '../gateway.ts';
import { number, record, records, text, texts } from '../read-json.ts';
import { usableConfig } from '../target.ts';
import { usage } from '../usage.ts';

/** `openclaw models`: what can be talked to now. */
export const list: Run = async (context) => {
  const { out, flags } = context;
  return withGateway(context, { scopes: ['operator.read'], device: 'make' }, async (gateway) => {
    const refresh = flags.on('refresh') && gateway.target.endpoint.door === 'admin';
    const answer = refresh ? await gateway.call('models.refresh', {}, { timeoutMs: 30_000 }) : await gateway.call('models.list', {});
    const models = records(record(answer)['models']);
    out.result({ ...answer, models });
    const real = models.filter((model) => model['provider'] !== 'builtin');
    if (models.length > 0) {
      out.line(
        table(
          ['Model', 'Name', 'Context', 'Input', 'From'],
          models.map((model) => [
            `${text(model['provider']) ?? '?'}/${text(model['id']) ?? '?'}`,
            text(model['name']) ?? '',
            number(model['contextWindow']) === undefined ? '' : count(number(model['contextWindow']) ?? 0),
            texts(model['input']).join(' '),
            text(model['source']) ?? '',
          ]),
          out.paint.bold,
        ),
      );
    }
    if (real.length === 0) {
      out.line('No model is connected: the built-in guide answers. It is no language model.');
      out.line(`${out.text.next} openclaw models try   (a small real one, here, without a key)`);
      out.line('      or set ANTHROPIC_API_KEY or OPENAI_API_KEY for the gateway, or start Ollama, LM Studio or llama.cpp on this machine');
    }
    return EXIT.ok;
  });
};

/** `openclaw models set provider/model`: the default, written into the config file. */
export const set: Run = async (context) => {
  const { args, out, paths, env } = context;
  const [ref] = args;
  if (ref === undefined) throw usage('which model?', 'openclaw models   lists them');
  if (!/^[^\s/]+\/\S+$/.test(ref))
    throw usage(`a model is written provider/model, not ${JSON.stringify(ref.slice(0, 60))}`, 'openclaw models   lists them');
  const config = await usableConfig(context);
  if (config.config.gateway.mode === 'remote') {
    throw new UserError(
      'REMOTE_CONFIG',
      'this machine is a client (gateway.mode "remote"): the default model is set where the gateway runs.',
      {
        fix: `There: openclaw models set ${oneLine(ref, 80)}`,
      },
    );
  }
  // A name that no gateway knows is most likely a typing error; without a running one it cannot be told.
  const opened = await tryOpen(context, { scopes: ['operator.read'], device: 'have' });
  if (opened.ok) {
    const answer = await opened.value.client.request('models.list', {});
    opened.value.close();
    const known = answer.ok
      ? records(record(answer.value)['models']).map((model) => `${String(model['provider'])}/${String(model['id'])}`)
      : [];
    if (known.length > 0 && !known.includes(ref)) {
      throw new UserError('MODEL_UNKNOWN', `the running gateway has no model ${JSON.stringify(oneLine(ref, 80))}.`, {
        fix: `One of: ${known.slice(0, 8).join(', ')}`,
      });
    }
  }
  const model = config.config.agents.defaults.model;
  const path = typeof model === 'object' && model !== null ? 'agents.defaults.model.primary' : 'agents.defaults.model';
  const edited = await editConfig({ paths, env: env.vars }, [{ op: 'set', path, value: ref }]);
  if (!edited.ok) throw edited.error;
  out.result({ path, value: ref, file: edited.value.file, changed: edited.value.changed });
  out.line(`${ref} is the default model now (${path} in ${edited.value.file}).`);
  return EXIT.ok;
};
