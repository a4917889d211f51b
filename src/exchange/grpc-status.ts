/** gRPC's statuses as Envoy writes them, for `%GRPC_STATUS%` (`envoy: source/common/grpc/status.cc`). */
import { GRPC_STATUS_NAMES } from '../lib/grpc-status-names.ts'

/** A status as a number from 0 to 16, or -1 for anything else. */
export function grpcStatusNumber(status: string): number {
  if (status === '') return -1
  const code = Number(status)
  return Number.isInteger(code) && code >= 0 && code < GRPC_STATUS_NAMES.length ? code : -1
}

/** `DEADLINE_EXCEEDED`; a code that gRPC does not define stays as it is. */
export function grpcStatusSnake(status: string): string {
  return GRPC_STATUS_NAMES[grpcStatusNumber(status)] ?? status
}

/** `DeadlineExceeded`; Envoy writes CANCELLED with one l here. */
export function grpcStatusCamel(status: string): string {
  const name = GRPC_STATUS_NAMES[grpcStatusNumber(status)]
  if (name === undefined) return status
  if (name === 'OK') return name
  if (name === 'CANCELLED') return 'Canceled'
  return name
    .split('_')
    .map((word) => word[0] + word.slice(1).toLowerCase())
    .join('')
}
