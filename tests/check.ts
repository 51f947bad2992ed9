/**
 * `npm run check`: the quick loop, with format, lint, types, layers and the tests of rules. `npm run check -- PATH` runs
 * the tests of one folder or file instead: PATH itself if it holds tests, else the tests that belong to its sources.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { ASSETS, LINT, runSteps, TYPES, tests } from './checks.ts';
import { projectFiles, ROOT, relativeImports } from './structure/imports.ts';

const [path] = process.argv.slice(2);
if (path === undefined)
  await runSteps([[LINT, ...TYPES].map((each) => [each]), [[tests('tests of rules', ['domain'])]]]);
else await runSteps([[[ASSETS]], [[tests(`tests of ${path}`, [], testsOf(path))]]]);

/** The test files of a path, by their place (`tests/worker/wallet` mirrors `worker/wallet`) and by what they import. */
function testsOf(given: string): string[] {
  const target = normalize(given).replace(/\/$/, '');
  if (!existsSync(join(ROOT, target))) fail(`There is no ${target} in this project.`);
  const isWithin = (file: string, folder: string) => file === folder || file.startsWith(`${folder}/`);
  const found = projectFiles()
    .filter((file) => file.startsWith('tests/') && file.endsWith('.test.ts'))
    .filter((file) => {
      if (isWithin(file, target) || isWithin(file, `tests/${target}`)) return true;
      const imported = relativeImports(readFileSync(join(ROOT, file), 'utf8'));
      return imported.some((each) => isWithin(join(dirname(file), each), target));
    });
  if (found.length === 0) fail(`No test file lies in ${target} or imports from it.`);
  return found;
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
