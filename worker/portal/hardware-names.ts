/** Hardware as people say it; `8xh800-pair` is two hosts of eight. */
import type { Hardware } from '../../gpu-pool/protocol.ts';

const NAMES: Record<Hardware, string> = {
  '8xh800-pair': '2 × 8 H800',
  '8xh200': '8 × H200',
  '8xmi300x': '8 × MI300X',
};

/** @param hardware a value of HARDWARE; any other is shown as it is */
export function hardwareName(hardware: string): string {
  return NAMES[hardware as Hardware] ?? hardware;
}
