/**
 * The tools of a request as a model is told of them. Models know functions with unique names and nothing else; clients also
 * declare free-form tools, tools in namespaces, and tools that a provider runs. The first two are translated and their calls
 * translated back; the last are set aside, because nobody here would run them.
 */
import type { GenerateRequest } from '../../../../gpu-pool/protocol/schemas.ts';
import { hash32 } from '../../../domain/routing/hash.ts';
import { reportedName } from '../../../domain/unread-fields.ts';
import { type CustomFormat, customFunction } from './custom-tool.ts';

/** The tool as its client knows it. */
export interface ToolForm {
  /** `custom`: the input of a call is free-form text instead of JSON. */
  readonly kind: 'function' | 'custom';
  readonly name: string;
  readonly namespace?: string | undefined;
}

/** A tool that the client runs. */
export interface ClientTool extends ToolForm {
  readonly description?: string | null | undefined;
  /** A function's JSON Schema. */
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly strict?: boolean | null | undefined;
  /** The format of a custom tool's input. */
  readonly format?: CustomFormat | null | undefined;
}

/** A declaration that is set aside: `path` is where it stands, such as `tools[].`. */
export interface SetAside {
  readonly setAside: string;
  readonly name?: string | undefined;
  readonly path: string;
}

export type Declaration = ClientTool | SetAside;

/** The tools of one request, and the names by which model and client know them. */
export interface DeclaredTools {
  /** As the node takes them; undefined: none. */
  readonly tools: GenerateRequest['tools'];
  /** The client's form of each, by the name that the model knows. */
  readonly forms: ReadonlyMap<string, ToolForm>;
  readonly setAside: readonly SetAside[];
  /** Names of the declarations that have no effect, for `tollgate.ignored`. */
  readonly ignored: readonly string[];
}

/** A tool's name in every dialect: Anthropic and OpenAI's Responses API allow 128 characters, OpenAI's chat 64 of them. */
export const TOOL_NAME_LENGTH_MAX = 128;

/**
 * Translates the declarations. Of two with one name the later counts, since OpenAI accepts both and clients that collect
 * tools in a table run the later one.
 */
export function declareTools(declarations: readonly Declaration[]): DeclaredTools {
  const setAside: SetAside[] = [];
  const byKey = new Map<string, ClientTool>();
  const ignored: string[] = [];
  for (const declaration of declarations) {
    if ('setAside' in declaration) {
      setAside.push(declaration);
      ignored.push(reportedName(declaration.path + declaration.setAside));
      continue;
    }
    const key = keyOf(declaration.name, declaration.namespace);
    const earlier = byKey.get(key);
    if (earlier) ignored.push(`tools[].${earlier.kind}`);
    byKey.set(key, declaration);
  }
  const forms = new Map<string, ClientTool>();
  const clientTools = [...byKey.values()];
  // Names outside of namespaces stay as they are, so they are taken first.
  for (const tool of clientTools) if (tool.namespace === undefined) forms.set(tool.name, tool);
  const names = clientTools.map((tool) => {
    if (tool.namespace === undefined) return tool.name;
    const name = freeName(tool.namespace, tool.name, forms);
    forms.set(name, tool);
    return name;
  });
  const tools = clientTools.map((tool, index) => ({
    type: 'function' as const,
    function: functionOf(tool, names[index]!),
  }));
  return { tools: tools.length > 0 ? tools : undefined, forms, setAside, ignored };
}

/** The name by which the model knows, or knew, a tool that the client names: in a choice, or in a call that it sends back. */
export function modelName({ forms }: DeclaredTools, name: string, namespace?: string | null): string {
  const exact = [...forms].find(
    ([, form]) => form.name === name && form.namespace === (namespace ?? undefined),
  );
  if (exact) return exact[0];
  if (namespace) return flatName(namespace, name);
  // Clients that do not know namespaces send the name alone.
  const candidates = [...forms].filter(([, form]) => form.name === name);
  return candidates.length === 1 ? candidates[0]![0] : name;
}

function functionOf({ kind, description, parameters, strict, format }: ClientTool, name: string) {
  if (kind === 'custom') return customFunction({ name, description, format });
  return {
    name,
    ...(description ? { description } : {}),
    ...(parameters ? { parameters } : {}),
    ...(strict === undefined || strict === null ? {} : { strict }),
  };
}

function keyOf(name: string, namespace: string | undefined): string {
  return namespace === undefined ? name : `${namespace}\n${name}`;
}

/** A name that no other tool has. It follows from the declarations alone, so every turn of a conversation has the same. */
function freeName(namespace: string, name: string, taken: ReadonlyMap<string, unknown>): string {
  let free = flatName(namespace, name);
  for (let attempt = 1; taken.has(free); attempt++)
    free = suffixed(free, `${namespace}\n${name}\n${attempt}`);
  return free;
}

/** `namespace__name`, as MCP clients join them, within the rule of tool names. */
function flatName(namespace: string, name: string): string {
  const joined = namespace.endsWith('__') ? namespace + name : `${namespace}__${name}`;
  const flat = joined.replace(/[^\w-]/g, '_');
  return flat.length <= TOOL_NAME_LENGTH_MAX && flat === joined ? flat : suffixed(flat, joined);
}

/** The name with a hash of `source` at its end, which keeps names apart that are alike otherwise. */
function suffixed(name: string, source: string): string {
  const suffix = `_${hash32(source).toString(16).padStart(8, '0')}`;
  return name.slice(0, TOOL_NAME_LENGTH_MAX - suffix.length) + suffix;
}
