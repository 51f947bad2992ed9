/** Display names and GPU counts of the protocol's hardware kinds. `8xh800-pair` is two hosts of eight GPUs. */
import type { Hardware } from '../../../gpu-pool/protocol/schemas.ts';

const NAMES: Record<Hardware, string> = {
  '8xh800-pair': '2 × 8 H800',
  '8xh800': '8 × H800',
  '8xh200': '8 × H200',
  '8xmi300x': '8 × MI300X',
};

/** @param hardware a value of the protocol's HARDWARE; any other is shown as it is */
export function hardwareName(hardware: string): string {
  return NAMES[hardware as Hardware] ?? hardware;
}

const GPUS: Record<Hardware, number> = { '8xh800-pair': 16, '8xh800': 8, '8xh200': 8, '8xmi300x': 8 };

/** @returns the number of GPUs; 0 for unknown hardware, for which no figure per GPU is shown */
export function gpusOf(hardware: string): number {
  return GPUS[hardware as Hardware] ?? 0;
}
