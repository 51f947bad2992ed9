/** Hardware as people say it, and its GPUs; `8xh800-pair` is two hosts of eight. */
import type { Hardware } from '../../../gpu-pool/protocol/schemas.ts';

const NAMES: Record<Hardware, string> = {
  '8xh800-pair': '2 × 8 H800',
  '8xh200': '8 × H200',
  '8xmi300x': '8 × MI300X',
};

/** @param hardware a value of HARDWARE; any other is shown as it is */
export function hardwareName(hardware: string): string {
  return NAMES[hardware as Hardware] ?? hardware;
}

const GPUS: Record<Hardware, number> = { '8xh800-pair': 16, '8xh200': 8, '8xmi300x': 8 };

/** @returns 0 for hardware that is not known: nothing is told per GPU of it */
export function gpusOf(hardware: string): number {
  return GPUS[hardware as Hardware] ?? 0;
}
