/**
 * Separates the Worker's module state from its code. A new isolate has fresh module state; if its code were evaluated
 * again too, V8 would run it unoptimized each time, and a simulation would spend most of its time warming up. So each
 * `let` and each `const … = new …` at the top of a module is moved to `CURRENT.state`, which is swapped when another
 * isolate runs.
 */
import { transform } from 'esbuild';

const LET = /^(export )?let (\w+)(?:: [^=\n]+?)? = (.*?);$/gmsu;
const INSTANCE = /^(export )?const (\w+)(?:: [^=\n]+?)? = (new .*?);$/gmsu;

/** @returns the module in JavaScript with its state moved out; null when it has none */
export async function withStateMovedOut(
  file: string,
  source: string,
  loader: 'ts' | 'tsx',
): Promise<string | null> {
  const define: Record<string, string> = {};
  const inits: string[] = [];
  const moveOut = (whole: string, exported: string | undefined, name: string, value: string): string => {
    // an exported binding is an application or a table here: the Worker exports no mutable state
    if (exported) return whole;
    const slot = `CURRENT.state.${file.replace(/\W/g, '_')}_${name}`;
    define[name] = slot;
    inits.push(`${slot} = ${value};`);
    return '';
  };
  const rest = source.replace(LET, moveOut).replace(INSTANCE, moveOut);
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
