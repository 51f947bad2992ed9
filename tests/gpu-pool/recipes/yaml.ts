/**
 * Parses the YAML subset in which recipes are written: block maps and lists, flow lists, plain and JSON-quoted
 * scalars, comments. Anything else in a file is an error, so that no part of it goes unread. The parser was checked
 * against PyYAML.
 */
export type Yaml = string | number | boolean | null | Yaml[] | { [key: string]: Yaml };

interface Row {
  indent: number;
  text: string;
  line: number;
}

/** @throws Error that names the line */
export function parseYaml(source: string): Yaml {
  const rows = source.split('\n').flatMap((raw, index): Row[] => {
    const text = raw.trimStart();
    if (text === '' || text.startsWith('#')) return [];
    if (raw.includes('\t') || raw !== raw.trimEnd())
      throw new Error(`line ${index + 1}: tab or trailing space`);
    return [{ indent: raw.length - text.length, text, line: index + 1 }];
  });
  const value = block(rows, 0);
  if (rows.length > 0) throw new Error(`line ${rows[0]!.line}: indented less than what it is part of`);
  return value;
}

/** Takes the lines that are indented by `indent` from the front of `rows`. */
function block(rows: Row[], indent: number): Yaml {
  const [first] = rows;
  if (first === undefined || first.indent < indent) return null;
  return first.text.startsWith('- ') ? list(rows, first.indent) : map(rows, first.indent);
}

function list(rows: Row[], indent: number): Yaml[] {
  const values: Yaml[] = [];
  while (rows[0]?.indent === indent && rows[0].text.startsWith('- ')) {
    const { text, line } = rows.shift()!;
    const item = text.slice(2);
    // `- key: value` begins a map whose other keys are aligned with the first.
    if (/^[\w-]+: /.test(item)) {
      rows.unshift({ indent: indent + 2, text: item, line });
      values.push(map(rows, indent + 2));
    } else values.push(scalar(item, line));
  }
  return values;
}

function map(rows: Row[], indent: number): { [key: string]: Yaml } {
  const entries: { [key: string]: Yaml } = {};
  while (rows[0]?.indent === indent) {
    const { text, line } = rows.shift()!;
    const [, key, rest] = /^([\w-]+):(?: (.+))?$/.exec(text) ?? [];
    if (key === undefined) throw new Error(`line ${line}: neither a key nor a list item`);
    if (key in entries) throw new Error(`line ${line}: ${key} twice`);
    entries[key] = rest === undefined ? block(rows, indent + 1) : scalar(rest, line);
  }
  if ((rows[0]?.indent ?? 0) > indent)
    throw new Error(`line ${rows[0]!.line}: indented more than its neighbours`);
  return entries;
}

function scalar(text: string, line: number): Yaml {
  if (text.startsWith('"')) return JSON.parse(text) as string;
  if (text.startsWith('[') && text.endsWith(']')) {
    const items = text.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^",\s][^",]*/g) ?? [];
    if (`[${items.join(', ')}]` !== text) throw new Error(`line ${line}: ${text} is no list`);
    return items.map((item) => scalar(item, line));
  }
  if (/^(-?\d+|true|false)$/.test(text)) return JSON.parse(text) as number | boolean;
  if (/[#{}[\]&*!|>'"%@`]|: |:$/.test(text)) throw new Error(`line ${line}: quote ${text}`);
  return text;
}
