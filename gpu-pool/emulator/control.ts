/** `/emulator/faults` and `/emulator/requests`, by which tests control the emulator over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ZodError, z } from 'zod';
import { FAULT_DESCRIPTIONS, type Fault } from './faults.ts';
import { readJson, send } from './http.ts';
import type { EmulatorState } from './state.ts';

export async function control(
  { faults, requests }: EmulatorState,
  { path, req, res }: { path: string; req: IncomingMessage; res: ServerResponse },
): Promise<void> {
  switch (`${req.method} ${path}`) {
    case 'GET /emulator/faults':
      return send(res, 200, { faults: faults.list(), kinds: FAULT_DESCRIPTIONS });
    case 'POST /emulator/faults': {
      try {
        return send(res, 201, faults.add((await readJson(req)) as z.input<typeof Fault>));
      } catch (error) {
        if (!(error instanceof ZodError)) throw error;
        return send(res, 400, { error: z.prettifyError(error) });
      }
    }
    case 'DELETE /emulator/faults':
      faults.clear();
      return send(res, 204, '');
    case 'GET /emulator/requests':
      return send(res, 200, { requests });
    default:
      return send(res, 404, { detail: 'Not Found' });
  }
}
