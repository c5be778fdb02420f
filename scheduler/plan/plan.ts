import type { Architecture, NodeState } from '#core/node.ts'
import type { Cell, Offer, Priced } from '../cloud/cloud.ts'

/** Jobs that wait, of one size, and how long one is expected to run. */
export interface Waiting {
  slots: number
  memoryBytes: number
  /** The architectures that its image has. */
  archs: readonly Architecture[]
  jobs: number
  oldestWaitSeconds: number
  expectedSeconds: number
}

/** A node as the planner sees it. */
export interface NodeFacts extends Cell {
  nodeId: string
  state: NodeState
  arch: Architecture
  slots: number
  memoryBytes: number
  usedSlots: number
  usedMemoryBytes: number
  /** When the last of its jobs is expected to have ended; null: it has none. */
  busyUntilMs: number | null
  /** From here on its hours are paid; null: not bought yet. */
  billedFromMs: number | null
  hourMicrons: number
  stateAtMs: number
  /** Since when it has nothing to do; null: it has. */
  idleSinceMs: number | null
  /** Somebody wants no more work there: it is not to be taken back. */
  drainRequested: boolean
}

/** What the operator wants. Durations in seconds. */
export interface Policy {
  minNodes: number
  maxNodes: number
  /** Slots kept free for what comes next. */
  warmSlots: number
  /** What all machines together may cost in an hour, in microns; null: no limit. */
  maxHourMicrons: number | null
  /** The most that are bought in one round. */
  burst: number
  /** After buying, so long nothing is bought for jobs that the machines under way will take. */
  cooldownSeconds: number
  /** `hour`: an idle node stays until shortly before its next paid hour. `idle`: it goes after `idleSeconds`. */
  keep: 'hour' | 'idle'
  idleSeconds: number
  /** How long before its next paid hour an idle node goes: two rounds and the time that a deletion takes. */
  marginSeconds: number
  /** What a boot is expected to take. */
  bootSeconds: number
  /** How long a node is given to enrol before it is replaced. */
  enrolSeconds: number
  /** A node takes work for about so long, then drains at the end of a paid hour. */
  lifetimeSeconds: number
}

/** Everything that the planner knows. */
export interface PlanInput {
  nowMs: number
  waiting: readonly Waiting[]
  nodes: readonly NodeFacts[]
  /** In the order in which they are to be tried. */
  offers: readonly Offer[]
  policy: Policy
  /** When machines were bought last; null: never. */
  boughtAtMs: number | null
}

/** A node and why that is done with it, in words for people. */
export interface Verdict {
  nodeId: string
  reason: string
}

/** Why less is bought than is wanted. */
export const SHORTAGES = ['max_nodes', 'max_spend', 'no_cell', 'too_large', 'burst'] as const
/** See SHORTAGES. */
export type Shortage = (typeof SHORTAGES)[number]

/** What is to be done. Every node of the input is in exactly one of drain, resume, keep and remove. */
export interface MachinePlan {
  create: { offer: Priced; count: number }[]
  drain: Verdict[]
  /** Draining nodes that take work again, before anything is bought. */
  resume: Verdict[]
  keep: Verdict[]
  /** Have no job and are to be deleted. */
  remove: Verdict[]
  /** Slots that waiting jobs need beyond what there is and comes. */
  missingSlots: number
  shortage: { code: Shortage; detail: string } | null
}
