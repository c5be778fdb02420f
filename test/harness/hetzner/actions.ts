import { isoTime, Refusal } from './answer.ts'

/** What an action is about. */
export interface Resource {
  id: number
  type: string
}

/** An action: begins at one moment, ends at another, well or not. */
export interface Action {
  id: number
  command: string
  resources: readonly Resource[]
  startMs: number
  endMs: number
  /** What it ends with; null: success. */
  error: { code: string; message: string } | null
  ended: boolean
  onEnd(endMs: number): void
}

/** How an action is begun; `startMs` may lie ahead, behind the end of another one. */
export interface Begin {
  command: string
  resources: readonly Resource[]
  startMs?: number
  durationMs: number
  error?: { code: string; message: string } | null
  onEnd?(endMs: number): void
}

/** The actions of a project. */
export interface Actions {
  begin(what: Begin): Action
  /** Ends those whose time has come, in the order in which they end. */
  settle(): void
  /** Whether one is under way that is about the resource. */
  busy(type: string, id: number): boolean
  get(id: number): Action
  find(ids: readonly number[]): Action[]
  show(action: Action): object
}

/** Makes them; ids count up. */
export function createActions(now: () => number, nextId: () => number): Actions {
  const actions = new Map<number, Action>()

  function get(id: number): Action {
    const action = actions.get(id)
    if (!action) throw new Refusal('not_found', `action with ID '${id}' not found`)
    return action
  }

  return {
    begin({ command, resources, startMs = now(), durationMs, error = null, onEnd = () => undefined }) {
      const action = { id: nextId(), command, resources, startMs, endMs: startMs + durationMs, error, ended: false, onEnd }
      actions.set(action.id, action)
      return action
    },
    settle() {
      const due = [...actions.values()].filter(({ ended, endMs }) => !ended && endMs <= now())
      for (const action of due.sort((a, b) => a.endMs - b.endMs || a.id - b.id)) {
        action.ended = true
        action.onEnd(action.endMs)
      }
    },
    busy: (type, id) => [...actions.values()].some(({ ended, resources }) => !ended && resources.some((one) => one.type === type && one.id === id)),
    get,
    find: (ids) => ids.flatMap((id) => actions.get(id) ?? []),
    show({ id, command, resources, startMs, endMs, error, ended }) {
      const share = (now() - startMs) / Math.max(1, endMs - startMs)
      return {
        id,
        command,
        status: !ended ? 'running' : error ? 'error' : 'success',
        progress: ended ? 100 : Math.max(0, Math.min(99, Math.floor(share * 100))),
        started: isoTime(startMs),
        finished: ended ? isoTime(endMs) : null,
        resources,
        error: ended ? error : null,
      }
    },
  }
}
