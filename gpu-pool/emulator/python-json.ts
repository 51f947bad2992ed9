/**
 * JSON as Python's json.dumps writes it, which is how SGLang renders tools and the arguments of earlier calls into a
 * prompt (`tojson` of its chat templates): a space behind every comma and colon, and floats in Python's notation.
 */

/** A number as Python writes it; JavaScript has no type that keeps `1.0` apart from `1`. */
class PythonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Writes a value that was parsed with JSON.parse or `parsePython`. */
export function dumps(value: unknown): string {
  if (value instanceof PythonNumber) return value.text;
  if (typeof value === 'number') return Number.isInteger(value) ? integer(String(value)) : pythonFloat(value);
  if (Array.isArray(value)) return `[${value.map(dumps).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${dumps(member)}`);
  return `{${members.join(', ')}}`;
}

/** Parses JSON and keeps which numbers Python takes for floats. @throws SyntaxError */
export function parsePython(json: string): unknown {
  type Reviver = (key: string, value: unknown, context: { source: string }) => unknown;
  const reviver: Reviver = (_, value, { source }) => {
    if (typeof value !== 'number') return value;
    return new PythonNumber(/[.eE]/.test(source) ? pythonFloat(value) : integer(source));
  };
  return JSON.parse(json, reviver as (key: string, value: unknown) => unknown);
}

/** An integer past 64 bits becomes a float (orjson). */
function integer(source: string): string {
  const fits = /^-?\d+$/.test(source) && BigInt.asIntN(65, BigInt(source)) === BigInt(source);
  return fits ? source : pythonFloat(Number(source));
}

/** Python's repr: with an exponent from 10¹⁶ on and below 10⁻⁴, and always with a point or an exponent. */
export function pythonFloat(value: number): string {
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 16) return Number.isInteger(value) ? `${value}.0` : String(value);
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}
