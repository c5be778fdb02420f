import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { openQuestions } from './questions.ts'
import { UsageError } from './usage-error.ts'

/**
 * What a secret is to hold: a file as it is, what is typed without being shown, or a pipe without the line break at its
 * end. Never an argument: those are seen by every process of the machine, and kept by the shell.
 */
export async function readSecretValue(question: string, file: string | undefined, cwd: string): Promise<string> {
  if (file !== undefined) return decode(readBytes(resolve(cwd, file), `--from-file ${file}`), file)
  if (!process.stdin.isTTY) return decode(readBytes(0, 'standard input'), 'standard input').replace(/\r?\n$/, '')
  const questions = openQuestions()
  try {
    return await questions.askSecret(question)
  } finally {
    questions.close()
  }
}

function readBytes(path: string | number, what: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new UsageError(`${what} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown trouble'}`)
  }
}

function decode(bytes: Buffer, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new UsageError(`${what} is no text (UTF-8), and a variable holds nothing else; encode it first, such as with base64`)
  }
}
