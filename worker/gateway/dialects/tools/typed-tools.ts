/**
 * Anthropic's typed tools that clients run on text alone: shell, text editor, memory. Claude knows their input from
 * training; other models get the schema that Anthropic documents (https://platform.claude.com/docs, "Tool use"), of the
 * newest version and with what older ones have more, so that every version's clients can run what comes.
 */
export const TYPED_TOOL = /^(bash|text_editor|memory)_\d{8}$/;

const text = (description: string) => ({ type: 'string', description });
const RANGE = {
  type: 'array',
  items: { type: 'integer' },
  description: 'With `view` of a file: first and last line, from 1; -1 is the last line of the file.',
};
const INSERTING = {
  insert_line: {
    type: 'integer',
    description: 'With `insert`: the line behind which to insert; 0 is the beginning.',
  },
};
const EDITING = {
  path: text('The absolute path of the file or directory.'),
  file_text: text('With `create`: the content of the new file.'),
  old_str: text(
    'With `str_replace`: the text to replace, exactly as it is in the file, where it has to be unique.',
  ),
};

/** A typed tool as a model is told of it: description and JSON Schema. */
interface TypedTool {
  readonly description: string;
  readonly parameters: Record<string, unknown>;
}

/** @param type one that `TYPED_TOOL` matches */
export function typedTool(type: string): TypedTool {
  const [family, version] = [type.slice(0, -9), type.slice(-8)];
  if (family === 'bash') return BASH;
  return family === 'memory' ? MEMORY : textEditor(version);
}

const BASH: TypedTool = {
  description:
    'Runs a command in a shell session that keeps its state, such as the working directory, between calls. No interactive programs.',
  parameters: {
    type: 'object',
    properties: {
      command: text('The command to run. Required, except with `restart`.'),
      restart: { type: 'boolean', description: 'true starts the session anew.' },
    },
  },
};

const MEMORY: TypedTool = {
  description:
    'Keeps notes in files under /memories, which outlast this conversation. View the directory before you begin, and write down what later conversations need.',
  parameters: {
    type: 'object',
    properties: {
      command: { type: 'string', enum: ['view', 'create', 'str_replace', 'insert', 'delete', 'rename'] },
      ...EDITING,
      path: text('The path, under /memories. Required, except with `rename`.'),
      view_range: RANGE,
      new_str: text('With `str_replace`: the text in its place.'),
      ...INSERTING,
      insert_text: text('With `insert`: the text to insert.'),
      old_path: text('With `rename`: the path until now.'),
      new_path: text('With `rename`: the new path.'),
    },
    required: ['command'],
  },
};

/** Versions before May 2025 can undo an edit, and take the text to insert as `new_str`. */
function textEditor(version: string): TypedTool {
  const isOld = version < '20250429';
  const commands = ['view', 'create', 'str_replace', 'insert', ...(isOld ? ['undo_edit'] : [])];
  const insertedAs = isOld ? 'new_str' : 'insert_text';
  return {
    description: 'Views, creates and edits text files.',
    parameters: {
      type: 'object',
      properties: {
        command: { type: 'string', enum: commands },
        ...EDITING,
        view_range: RANGE,
        new_str: text(
          isOld
            ? 'With `str_replace`: the text in its place. With `insert`: the text to insert.'
            : 'With `str_replace`: the text in its place.',
        ),
        ...INSERTING,
        ...(insertedAs === 'insert_text' ? { insert_text: text('With `insert`: the text to insert.') } : {}),
      },
      required: ['command', 'path'],
    },
  };
}
