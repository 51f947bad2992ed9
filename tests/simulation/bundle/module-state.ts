/**
 * Module state of the Worker, told apart from its code. An isolate that starts has fresh module state; were its code
 * evaluated afresh as well, V8 would run it cold each time, and most of a simulation would be spent on warming up. So
 * each `let` and each `const … = new …` at the top of a module lives in `CURRENT.state`, which is another's when
 * another isolate runs.
 */
import { transform } from 'esbuild';

const LET = /^(export )?let (\w+)(?:: [^=\n]+?)? = (.*?);$/gmsu;
const INSTANCE = /^(export )?const (\w+)(?:: [^=\n]+?)? = (new .*?);$/gmsu;

/** @returns the module in JavaScript with its state outside; null: it has none */
export async function withStateOutside(
  file: string,
  source: string,
  loader: 'ts' | 'tsx',
): Promise<string | null> {
  const define: Record<string, string> = {};
  const inits: string[] = [];
  const takeOut = (whole: string, exported: string | undefined, name: string, value: string): string => {
    // what is exported is an application or a table: state that others could change from outside is not our style
    if (exported) return whole;
    const slot = `CURRENT.state.${file.replace(/\W/g, '_')}_${name}`;
    define[name] = slot;
    inits.push(`${slot} = ${value};`);
    return '';
  };
  const rest = source.replace(LET, takeOut).replace(INSTANCE, takeOut);
  if (inits.length === 0) return null;
  const code = `${rest}\nSTATE_INITS.push(() => {\n${inits.join('\n')}\n});\n`;
  const result = await transform(code, {
    loader,
    define,
    format: 'esm',
    target: 'es2024',
    sourcefile: file,
    jsx: 'automatic',
    jsxImportSource: 'hono/jsx',
    logLevel: 'silent',
  });
  return result.code;
}
