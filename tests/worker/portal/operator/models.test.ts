/** The console's models: one is added from a shipped profile, edited and deleted, without script and in both languages. */
import { describe, expect, it } from 'vitest';
import { longestPrompt } from '../../../../gpu-pool/protocol/constants.ts';
import { en } from '../../../../worker/i18n/en/index.ts';
import { fr } from '../../../../worker/i18n/fr/index.ts';
import { SHIPPED_MODELS } from '../../../../worker/portal/operator/shipped-models.ts';
import { profileWith, R1 } from '../../../model-profiles.ts';
import { auditOf, env } from '../../fleet/fixtures.ts';
import { operatorBrowser, textOf } from './console.ts';

const PATH = '/operator/models';
const names = en.operator.models;

let count = 0;
function fields(change: Record<string, string> = {}): Record<string, string> {
  count += 1;
  return {
    id: `glm-${count}`,
    name: 'GLM',
    aliases: `zai-org/GLM-${count}\n glm-alias-${count} \n`,
    modelPaths: `zai-org/GLM-${count}`,
    revision: 'GLM',
    license: 'MIT',
    contextTokens: '131,072',
    outputTokensMax: '65536',
    outputTokensDefault: '8192',
    profile: JSON.stringify(profileWith({ owner: 'zai-org', repository: `zai-org/GLM-${count}` }), null, 2),
    ...Object.fromEntries(
      ['standardHit', 'standardMiss', 'standardOutput', 'batchHit', 'batchMiss', 'batchOutput', 'source'].map(
        (name) => [name, ''],
      ),
    ),
    ...change,
  };
}
const PRICES = { standardHit: '0.1', standardMiss: '0.2', standardOutput: '0.9', source: 'test' };

async function rowOf(id: string) {
  return env.DB.prepare('select * from model where id = ?').bind(id).first();
}

describe('a model', () => {
  it('begins with a shipped profile, and is added, edited and deleted by forms', async () => {
    const console = await operatorBrowser();
    const begun = await (await console.get(`${PATH}/new?from=deepseek-r1-0528`)).text();
    expect(begun).toContain('deepseek-ai/DeepSeek-R1-0528');
    expect(begun).toContain(`&quot;earlierReasoning&quot;: &quot;${R1.earlierReasoning}&quot;`);

    const typed = fields();
    const id = typed.id!;
    expect((await console.post(`${PATH}/new`, typed)).status).toBe(303);
    expect(await rowOf(id)).toMatchObject({
      aliases: JSON.stringify([`zai-org/GLM-${count}`, `glm-alias-${count}`]),
      context_tokens: 131_072,
      reasoning: 1,
    });
    expect(await textOf(console.get(PATH))).toContain(names.states.draft);

    const edited = { ...typed, contextTokens: '65536', aliases: '' };
    expect((await console.post(`${PATH}/${id}`, edited)).status).toBe(303);
    expect(await rowOf(id)).toMatchObject({ context_tokens: 65_536, aliases: '[]' });
    expect((await auditOf(id)).map(({ action, actor }) => [action, actor.slice(0, 7)])).toEqual([
      ['model.added', expect.not.stringContaining('operator')],
      ['model.edited', expect.not.stringContaining('operator')],
    ]);

    expect((await console.post(`${PATH}/${id}/delete`, {})).status).toBe(303);
    expect(await rowOf(id)).toBeNull();
  });

  it('with first prices is sold, and can then be neither deleted nor given other weights', async () => {
    const console = await operatorBrowser();
    const typed = fields({ ...PRICES, batchHit: '0.05', batchMiss: '0.1', batchOutput: '0.45' });
    expect((await console.post(`${PATH}/new`, typed)).status).toBe(303);
    const { results } = await env.DB.prepare('select id from price where model_id = ? order by id')
      .bind(typed.id)
      .all<{ id: string }>();
    expect(results.map(({ id }) => id)).toEqual([`${typed.id}/batch/1`, `${typed.id}/standard/1`]);
    const page = `${PATH}/${typed.id}`;
    expect(await textOf(console.get(page))).toContain(names.soldLead);
    expect(await textOf(console.post(`${page}/delete`, {}))).toContain(en.faults.model_in_use);
    const moved = { ...typed, revision: 'another' };
    expect(await textOf(console.post(page, moved))).toContain(en.faults.model_weights_fixed);
  });

  it('that another operator has changed meanwhile is shown again, and the change stays', async () => {
    const [one, other] = [await operatorBrowser(), await operatorBrowser()];
    const typed = fields();
    const page = `${PATH}/${typed.id}`;
    await one.post(`${PATH}/new`, typed);
    const seenBy = async (console: typeof one) =>
      /name="seen" value="(\w+)"/.exec(await (await console.get(page)).text())![1]!;
    const seen = await seenBy(one);
    const changed = { ...typed, license: 'Apache-2.0', seen: await seenBy(other) };
    expect((await other.post(page, changed)).status).toBe(303);
    const answer = one.post(page, { ...typed, name: 'GLM 5', seen });
    expect(await textOf(answer)).toContain(en.faults.model_changed);
    expect(await rowOf(typed.id!)).toMatchObject({ license: 'Apache-2.0', name: typed.name });
    const again = { ...typed, license: 'Apache-2.0', name: 'GLM 5', seen: await seenBy(one) };
    expect((await one.post(page, again)).status).toBe(303);
  });

  it('that begins with any shipped profile can be sold as the form stands', async () => {
    const console = await operatorBrowser();
    for (const [id, profile] of Object.entries(SHIPPED_MODELS)) {
      const html = await (await console.get(`${PATH}/new?from=${id}`)).text();
      const [, context] = /name="contextTokens"[^>]*value="([\d,]+)"/.exec(html)!;
      const typed = fields({
        contextTokens: context!,
        outputTokensMax: '65,536',
        outputTokensDefault: '32,768',
        profile: JSON.stringify(profile),
      });
      expect([id, (await console.post(`${PATH}/new`, typed)).status]).toEqual([id, 303]);
      expect(Number(context!.replaceAll(',', ''))).toBeLessThanOrEqual(longestPrompt(profile.contextLength!));
    }
  });

  it.each<[string, Record<string, string>, string]>([
    ['id', { id: 'GLM' }, en.faults.model_id],
    ['aliases', { aliases: 'a b' }, en.faults.model_aliases],
    ['aliases', { aliases: 'same\nSame' }, en.faults.alias_repeated],
    ['aliases', { aliases: 'deepseek-chat' }, en.faults.model_alias_taken],
    ['modelPaths', { modelPaths: '' }, en.faults.model_paths],
    ['license', { license: '' }, en.faults.required],
    ['contextTokens', { contextTokens: 'many' }, en.faults.whole_number],
    ['outputTokensMax', { contextTokens: '1000' }, en.faults.output_above_context],
    ['profile', { profile: 'no JSON' }, en.faults.profile],
    ['standardOutput', { ...PRICES, standardOutput: '0' }, en.faults.usd_per_million],
    [
      'standardHit',
      { batchHit: '1', batchMiss: '1', batchOutput: '1', source: 'x' },
      en.faults.usd_per_million,
    ],
    ['source', { ...PRICES, source: '' }, en.faults.required],
  ])('whose %s is wrong is not added, and the fault stands at the field', async (name, change, text) => {
    const console = await operatorBrowser();
    const typed = fields(change);
    const answer = await console.post(`${PATH}/new`, typed);
    expect(answer.status).toBe(422);
    const html = (await answer.text()).replaceAll('&#39;', "'").replaceAll('&amp;', '&');
    const at = html.indexOf(`id="${name}-fault"`);
    expect(at).toBeGreaterThan(0);
    expect(html.slice(at, at + 400)).toContain(text);
    expect(await rowOf(typed.id!)).toBeNull();
  });

  it('names each wrong field of its profile, in the page’s language', async () => {
    const profile = JSON.stringify({ ...R1, owner: undefined, thinking: { mode: 'sometimes' } });
    for (const [language, message] of [
      ['en', en],
      ['fr', fr],
    ] as const) {
      const console = await operatorBrowser(language);
      const text = await textOf(console.post(`${PATH}/new`, fields({ profile })));
      expect(text).toContain(message.faults.profile.replaceAll(/\s+/g, ' '));
      expect(text).toMatch(/thinking\.mode/);
      expect(text).toMatch(/owner .*(Invalid|invalide)/i);
    }
  });

  it('is unknown under any other id', async () => {
    const console = await operatorBrowser();
    expect((await console.get(`${PATH}/nothing`)).status).toBe(404);
    expect((await console.post(`${PATH}/nothing`, fields())).status).toBe(404);
    expect((await console.post(`${PATH}/nothing/delete`, {})).status).toBe(404);
  });
});
