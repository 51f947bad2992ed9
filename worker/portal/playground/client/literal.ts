/** JSON values as literals of programming languages, indented by two spaces a level. */
import { quoted } from '../../../examples/example.ts';

interface Language {
  /** `true`, `false` and `null` */
  readonly words: Readonly<Record<string, string>>;
  key(name: string): string;
}

const PYTHON: Language = { words: { true: 'True', false: 'False', null: 'None' }, key: quoted };
const JAVA_SCRIPT: Language = {
  words: {},
  // Written without brackets, this name sets the prototype and makes no member.
  key: (name) => (name === '__proto__' ? `[${quoted(name)}]` : quoted(name)),
};

/** @param indent of the line on which the literal begins */
export function pythonLiteral(value: unknown, indent: string): string {
  return literal(value, indent, PYTHON);
}

/** @param indent of the line on which the literal begins */
export function javaScriptLiteral(value: unknown, indent: string): string {
  return literal(value, indent, JAVA_SCRIPT);
}

function literal(value: unknown, indent: string, language: Language): string {
  if (typeof value !== 'object' || value === null) {
    const json = JSON.stringify(value);
    return language.words[json] ?? json;
  }
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const members = Array.isArray(value)
    ? value.map((member) => literal(member, inner, language))
    : Object.entries(value).map(
        ([name, member]) => `${language.key(name)}: ${literal(member, inner, language)}`,
      );
  if (members.length === 0) return `${open}${close}`;
  return `${open}\n${members.map((member) => `${inner}${member},\n`).join('')}${indent}${close}`;
}
