import type { Command } from './command.ts'
import { cancelCommand } from './commands/cancel.ts'
import { costCommand } from './commands/cost.ts'
import { doctorCommand } from './commands/doctor.ts'
import { downloadCommand } from './commands/download.ts'
import { estimateCommand } from './commands/estimate.ts'
import { explainCommand } from './commands/explain.ts'
import { initCommand } from './commands/init.ts'
import { keysCommand } from './commands/keys.ts'
import { listCommand } from './commands/list.ts'
import { logsCommand } from './commands/logs.ts'
import { nodesCommand } from './commands/nodes.ts'
import { outputsCommand } from './commands/outputs.ts'
import { runCommand } from './commands/run.ts'
import { secretsCommand } from './commands/secrets.ts'
import { statusCommand } from './commands/status.ts'
import { submitCommand } from './commands/submit.ts'
import { versionCommand } from './commands/version.ts'
import { webhooksCommand } from './commands/webhooks.ts'

/** The commands in the order in which `rgrid --help` names them. */
export const COMMANDS: readonly Command[] = [
  runCommand,
  submitCommand,
  logsCommand,
  statusCommand,
  explainCommand,
  listCommand,
  cancelCommand,
  outputsCommand,
  downloadCommand,
  costCommand,
  estimateCommand,
  webhooksCommand,
  secretsCommand,
  keysCommand,
  nodesCommand,
  doctorCommand,
  initCommand,
  versionCommand,
]
