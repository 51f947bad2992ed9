/**
 * The grammar that holds a model to its format of calls, as a `response_format` of SGLang: where the request demands a call,
 * or a tool is `strict`. It is the one that the engine makes of tools by itself (function_call_parser.py,
 * `get_structure_constraint`), which it does not do for a request whose answer it is not to take apart.
 */

export interface GrammarTool {
  name: string;
  parameters: Record<string, unknown> | null;
  strict: boolean;
}

/** `calls`: whether the model has to call, and if so whether one particular tool. */
export interface CallDemand {
  calls: 'may' | 'must' | 'must_this';
  /** For `must_this` the one tool. */
  tools: readonly GrammarTool[];
}

type Grammar = Record<string, unknown>;

/** A call as begin, JSON and end; `trigger`: the text from which on the grammar holds. */
interface Wrapping {
  begin(name: string): string;
  end: string;
  trigger: string;
}

const WRAPPINGS: Record<string, Wrapping | undefined> = {
  deepseekv3: {
    begin: (name) => `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n`,
    end: '\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    trigger: '<｜tool▁calls▁begin｜>',
  },
  deepseekv31: {
    begin: (name) => `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>`,
    end: '<｜tool▁call▁end｜>',
    trigger: '<｜tool▁call▁begin｜>',
  },
  qwen: qwen('\n'),
  qwen25: qwen('\n'),
  hermes: qwen(''),
};

function qwen(line: string): Wrapping {
  return {
    begin: (name) => `<tool_call>${line}{"name":"${name}", "arguments":`,
    end: `}${line}</tool_call>`,
    trigger: '<tool_call>',
  };
}

/** The grammar for a request; null: none is needed, or the engine makes none for this format. */
export function callGrammar(parser: string, demand: CallDemand): Grammar | null {
  if (demand.calls === 'may' && !demand.tools.some((tool) => tool.strict)) return null;
  const wrapping = WRAPPINGS[parser];
  if (wrapping !== undefined) return wrapped(wrapping, demand);
  switch (parser) {
    case 'deepseekv32':
      return tagged(dsml(demand));
    case 'qwen3_coder':
      return tagged(qwenCoder(demand));
    case 'kimi_k2':
      return tagged(kimi(demand));
    default:
      return demand.calls === 'may' ? null : list(demand);
  }
}

/** Whether a model that has to call writes its calls as a JSON list. */
export function writesList(parser: string): boolean {
  return parser === 'glm45';
}

function wrapped({ begin, end, trigger }: Wrapping, { calls, tools }: CallDemand): Grammar {
  return {
    type: 'structural_tag',
    structures: tools.map(({ name, parameters, strict }) => ({
      begin: begin(name),
      schema: (strict && parameters) || {},
      end,
    })),
    triggers: [trigger],
    at_least_one: calls !== 'may',
  };
}

function tagged(format: Grammar): Grammar {
  return { type: 'structural_tag', format };
}

function schemaOf({ parameters, strict }: GrammarTool): unknown {
  return (strict && parameters) || true;
}

function some(tags: Grammar[]): Grammar {
  return { type: 'tags_with_separator', tags, separator: '', at_least_one: true, stop_after_first: false };
}

function triggered(trigger: string, tags: Grammar[], excludes: string[] = []): Grammar {
  return {
    type: 'triggered_tags',
    triggers: [trigger],
    tags,
    at_least_one: false,
    stop_after_first: false,
    excludes,
  };
}

/** `begin`, some calls or the one, and `end`. */
function section(
  { calls }: CallDemand,
  tags: Grammar[],
  { begin, end }: { begin: string; end: string },
): Grammar {
  const [only] = tags;
  return {
    type: 'sequence',
    elements: [
      { type: 'const_string', value: begin },
      calls === 'must_this' && only ? only : some(tags),
      { type: 'const_string', value: end },
    ],
  };
}

function dsml(demand: CallDemand): Grammar {
  const tags = demand.tools.map((tool) => ({
    type: 'tag',
    begin: `<｜DSML｜invoke name="${tool.name}">\n`,
    content: { type: 'json_schema', json_schema: schemaOf(tool), style: 'deepseek_xml' },
    end: '</｜DSML｜invoke>\n',
  }));
  const begin = '<｜DSML｜function_calls>\n';
  const end = '</｜DSML｜function_calls>';
  if (demand.calls !== 'may') return section(demand, tags, { begin: `\n\n${begin}`, end });
  return triggered(begin.trimEnd(), [{ type: 'tag', begin, content: some(tags), end }]);
}

function qwenCoder({ calls, tools }: CallDemand): Grammar {
  const tags = tools.map((tool) => ({
    type: 'tag',
    begin: `<tool_call>\n<function=${tool.name}>\n`,
    content: { type: 'json_schema', json_schema: schemaOf(tool), style: 'qwen_xml' },
    end: '\n</function>\n</tool_call>',
  }));
  const [only] = tags;
  if (calls === 'must_this' && only) return only;
  return calls === 'must' ? some(tags) : triggered('<tool_call>\n<function=', tags);
}

function kimi(demand: CallDemand): Grammar {
  // Where a call is demanded its arguments have to be an object at least: the template takes nothing else.
  const schema = (tool: GrammarTool) =>
    demand.calls === 'may' || tool.strict ? schemaOf(tool) : { type: 'object' };
  const tags = demand.tools.map((tool) => ({
    type: 'tag',
    begin: `<|tool_call_begin|>functions.${tool.name}:`,
    content: {
      type: 'sequence',
      elements: [
        { type: 'regex', pattern: '\\d+' },
        { type: 'const_string', value: '<|tool_call_argument_begin|>' },
        { type: 'json_schema', json_schema: schema(tool), style: 'json' },
      ],
    },
    end: '<|tool_call_end|>',
  }));
  const begin = '<|tool_calls_section_begin|>';
  const end = '<|tool_calls_section_end|>';
  if (demand.calls !== 'may') return section(demand, tags, { begin, end });
  return triggered(begin, [{ type: 'tag', begin, content: some(tags), end }], ['<|tool_call_begin|>']);
}

function list({ calls, tools }: CallDemand): Grammar {
  const each = tools.map(({ name, parameters }) => ({
    properties: {
      name: { type: 'string', enum: [name] },
      parameters: parameters ?? { type: 'object', properties: {} },
    },
    required: ['name', 'parameters'],
  }));
  const items = calls === 'must_this' ? each[0] : { type: 'object', anyOf: each };
  const definitions = Object.assign({}, ...tools.map(({ parameters }) => parameters?.$defs ?? {}));
  const schema = {
    type: 'array',
    minItems: 1,
    items,
    // References in a tool's parameters point to the root of the whole schema.
    ...(Object.keys(definitions).length > 0 ? { $defs: definitions } : {}),
  };
  return { type: 'json_schema', json_schema: { name: 'calls', schema } };
}
