import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { SHIPPED_MODELS } from '../../worker/portal/operator/shipped-models.ts';

const FOLDER = 'gpu-pool/models';
const files = readdirSync(FOLDER);

describe('the model profiles that are shipped', () => {
  it.each(files)('%s is a whole profile and nothing else', (file) => {
    const parsed = ModelProfile.safeParse(JSON.parse(readFileSync(`${FOLDER}/${file}`, 'utf8')));
    expect(parsed.error?.issues).toBeUndefined();
  });
});

it('the console offers every profile that is shipped, and each by the id of its file', () => {
  const shipped = files.map((file) => [
    file.replace(/\.json$/, ''),
    JSON.parse(readFileSync(`${FOLDER}/${file}`, 'utf8')),
  ]);
  expect(SHIPPED_MODELS).toEqual(Object.fromEntries(shipped));
});
