/** `/emulator/faults`, `/emulator/answers` and `/emulator/requests`, by which tests control the emulator over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ZodError, z } from 'zod';
import { FAULT_DESCRIPTIONS, type Fault } from './faults.ts';
import { readJson, send } from './http.ts';
import { ScriptedAnswers } from './scripted-answers.ts';
import type { EmulatorState } from './state.ts';

export async function control(
  { faults, requests, answers }: EmulatorState,
  { path, req, res }: { path: string; req: IncomingMessage; res: ServerResponse },
): Promise<void> {
  switch (`${req.method} ${path}`) {
    case 'GET /emulator/faults':
      return send(res, 200, { faults: faults.list(), kinds: FAULT_DESCRIPTIONS });
    case 'POST /emulator/faults':
      return added(req, res, (body) => faults.add(body as z.input<typeof Fault>));
    case 'DELETE /emulator/faults':
      faults.clear();
      return send(res, 204, '');
    case 'GET /emulator/answers':
      return send(res, 200, { answers: answers.list() });
    case 'POST /emulator/answers':
      return added(req, res, (body) => {
        answers.add(ScriptedAnswers.parse(body));
        return { answers: answers.list() };
      });
    case 'DELETE /emulator/answers':
      answers.clear();
      return send(res, 204, '');
    case 'GET /emulator/requests':
      return send(res, 200, { requests });
    default:
      return send(res, 404, { detail: 'Not Found' });
  }
}

/** Answers with what was added, or with what is wrong with the body. */
async function added(
  req: IncomingMessage,
  res: ServerResponse,
  add: (body: unknown) => object,
): Promise<void> {
  try {
    return send(res, 201, add(await readJson(req)));
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    return send(res, 400, { error: z.prettifyError(error) });
  }
}
