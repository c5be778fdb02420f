/**
 * States of a node, in the order of its life. A machine that somebody set up by hand begins `ready`; one that is bought goes
 * through all of them, and its row is there before the provider hears of it.
 */
export const NODE_STATES = ['planned', 'creating', 'booting', 'ready', 'draining', 'lost', 'deleting', 'gone', 'failed'] as const
/** See NODE_STATES. */
export type NodeState = (typeof NODE_STATES)[number]

/** States in which a machine may exist at its provider, and be paid for. */
export const PAID_NODE_STATES = ['creating', 'booting', 'ready', 'draining', 'lost', 'deleting'] as const satisfies readonly NodeState[]

const NODE_TRANSITIONS: Readonly<Record<NodeState, readonly NodeState[]>> = {
  planned: ['creating', 'failed'],
  // Back to planned: the cell had nothing, and another one is tried.
  creating: ['planned', 'booting', 'deleting', 'failed'],
  booting: ['ready', 'deleting'],
  ready: ['draining', 'lost', 'deleting', 'gone'],
  draining: ['ready', 'lost', 'deleting', 'gone'],
  lost: ['ready', 'draining', 'deleting', 'gone'],
  // Failed: it never took work.
  deleting: ['gone', 'failed'],
  gone: [],
  failed: [],
}

/** Whether the transition table lets a node go from one state to the other. */
export function canNodeGo(from: NodeState, to: NodeState): boolean {
  return NODE_TRANSITIONS[from].includes(to)
}

/** Architectures of machines, as container images name them. */
export const ARCHITECTURES = ['amd64', 'arm64'] as const
/** See ARCHITECTURES. */
export type Architecture = (typeof ARCHITECTURES)[number]

/** A node-runner that ends with this status wants its machine switched off: it has been out of touch for too long. */
export const POWER_OFF_STATUS = 86
