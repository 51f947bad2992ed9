/** The models that examples name: `npm start` serves every one of them, so that a copied example answers. */
import { expect, it } from 'vitest';
import { ALL_NODES } from '../../../gpu-pool/local/local-nodes.ts';
import { openApiDocument } from '../../../worker/api/openapi/document.ts';
import { findModel, loadCatalogue } from '../../../worker/db/catalogue.ts';
import { database } from '../../../worker/db/client.ts';
import { env } from '../gateway/client.ts';

/** Vite replaces the call by the files' texts; the types of workerd do not know it. */
declare global {
  interface ImportMeta {
    glob(patterns: string[], options: object): Record<string, string>;
  }
}
const PAGES = import.meta.glob(
  ['../../../README.md', '../../../docs/**/*.md', '../../../gpu-pool/local/start.ts'],
  {
    query: '?raw',
    import: 'default',
    eager: true,
  },
);

interface Named {
  readonly where: string;
  readonly model: string;
}

/** Clients of many providers put their own name for one before the model: `tollgate/deepseek-r1-0528`. */
const PROVIDER = /^tollgate\//;

/** The models that requests in a text name: `"model": "x"`, `model: 'x'` and `model="x"`. */
function namedIn([where, text]: [string, string]): Named[] {
  const blocks = where.endsWith('.md')
    ? [...text.matchAll(/```[^\n]*\n([\s\S]*?)```/g)].map(([, code]) => code!)
    : [text];
  return blocks.flatMap((code) =>
    [...code.matchAll(/\bmodel["']?\s*[:=]\s*["']([^"'${}]+)["']/g)].map(([, model]) => ({
      where,
      model: model!.replace(PROVIDER, ''),
    })),
  );
}

/** The models that a JSON value names as `model`, wherever it stands. */
function namedInValue(value: unknown, where: string): Named[] {
  if (Array.isArray(value)) return value.flatMap((each, i) => namedInValue(each, `${where}/${i}`));
  if (typeof value === 'string') return namedIn([where, value]);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) =>
    key === 'model' && typeof each === 'string'
      ? [{ where, model: each }]
      : namedInValue(each, `${where}/${key}`),
  );
}

/** Values of `example` and `examples`, and of properties named `model` that have one, anywhere in the document. */
function examplesIn(node: unknown, where: string): Named[] {
  if (Array.isArray(node)) return node.flatMap((each, i) => examplesIn(each, `${where}/${i}`));
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, each]) => {
    if (key === 'example' || key === 'examples' || key === 'default')
      return /\/properties\/model$/.test(where)
        ? [each].flat().map((model) => ({ where, model: String(model) }))
        : namedInValue(each, `${where}/${key}`);
    return key === 'description' ? namedInValue(each, where) : examplesIn(each, `${where}/${key}`);
  });
}

it('are all served', async () => {
  const catalogue = await loadCatalogue(database(env));
  const served = new Set(ALL_NODES.map(({ model }) => model));
  const named = [
    ...examplesIn(openApiDocument('https://tollgate.test', 'deepseek-r1-0528'), '#'),
    ...Object.entries(PAGES).flatMap(namedIn),
  ];
  // The document has an example for each route that generates, and docs/api.md one for each client.
  expect(named.filter(({ where }) => where.startsWith('#')).length).toBeGreaterThan(3);
  expect(named.filter(({ where }) => where.endsWith('.md')).length).toBeGreaterThan(5);
  const unserved = named.filter(({ model }) => !served.has(findModel(catalogue, model)?.id ?? ''));
  expect(unserved).toEqual([]);
});
