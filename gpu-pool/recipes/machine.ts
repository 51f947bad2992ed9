/** The container settings that give access to the GPUs of each kind of host, and the image that drives them. */
import type { Hardware } from '../protocol/schemas.ts';
import type { Setting } from './profile-flags.ts';

export interface Machine {
  /** Hosts that form the node. */
  hosts: 1 | 2;
  /** Prerequisites that the operator provides; each completes a sentence that begins with `Needs`. */
  needs: readonly string[];
  /** A pinned image; `--image` overrides it. */
  image: string;
  /** Whether GPUs come through the NVIDIA container toolkit; ROCm exposes them as devices instead. */
  nvidia: boolean;
  devices: readonly string[];
  groups: readonly string[];
  capabilities: readonly string[];
  securityOptions: readonly string[];
  environment: readonly Setting[];
}

// CUDA 13 is the only CUDA of these images since 0.5.20 (docs.sglang.io/docs/get-started/install).
const CUDA_IMAGE = 'lmsysorg/sglang:v0.5.23';
const NVIDIA = {
  needs: ['a driver for CUDA 13 (580 or newer) and the NVIDIA container toolkit.'],
  image: CUDA_IMAGE,
  nvidia: true,
  devices: [],
  groups: [],
  capabilities: [],
  securityOptions: [],
  environment: [],
} as const;

export const MACHINES = {
  '8xh800-pair': {
    ...NVIDIA,
    hosts: 2,
    needs: [
      ...NVIDIA.needs,
      'a firewall: the --dist-init-addr and NCCL ports are unauthenticated, so only the other host may reach them.',
      "NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME in the engine's environment if a host has several networks.",
    ],
    // RDMA between the hosts: without it every layer's all-reduce would cross TCP.
    devices: ['/dev/infiniband'],
    capabilities: ['IPC_LOCK'],
  },
  '8xh800': { ...NVIDIA, hosts: 1 },
  '8xh200': { ...NVIDIA, hosts: 1 },
  '8xmi300x': {
    hosts: 1,
    needs: ['the amdgpu driver, and NUMA balancing off: echo 0 > /proc/sys/kernel/numa_balancing.'],
    // The build for gfx942, which MI300X and MI325X share; InferenceX#3362 swept that of 0.5.20.
    image: 'lmsysorg/sglang:v0.5.23-rocm720-mi30x',
    nvidia: false,
    // These follow https://docs.sglang.io/docs/hardware-platforms/amd_gpu, without its --privileged, which is for
    // RDMA.
    devices: ['/dev/kfd', '/dev/dri'],
    groups: ['video'],
    capabilities: ['SYS_PTRACE'],
    securityOptions: ['seccomp=unconfined'],
    environment: [
      {
        name: 'SGLANG_USE_AITER',
        value: '1',
        why: "AMD's own kernels for attention and experts.",
        source: 'https://docs.sglang.io/docs/hardware-platforms/amd_gpu',
      },
      {
        name: 'SGLANG_AITER_MLA_PERSIST',
        value: '1',
        why: 'Persistent MLA decode kernel, designed for an fp8 KV cache.',
        source: 'https://docs.sglang.io/cookbook/autoregressive/DeepSeek/DeepSeek-R1',
      },
    ],
  },
} as const satisfies Record<Hardware, Machine>;
