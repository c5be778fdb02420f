import { StringDecoder } from 'node:string_decoder'

/** Makes what a stranger's program wrote fit to be shown on a terminal; what comes in pieces is one stream. */
export interface TerminalFilter {
  /** What of it may be written now; a sequence that is not complete waits. */
  write(data: Buffer): string
  /** What waited, and back to the terminal's own colours where they were changed. */
  end(): string
}

const ESC = '\u001b'
const PLAIN_CONTROLS = '\t\n\r\b'
/** Colours and styles; erase in line; the cursor up, down, right, left and to a column (ECMA-48, 8.3). */
const HARMLESS_FINALS = 'mKABCDG'
/** A longer sequence is none that anybody needs. */
const MAX_SEQUENCE = 64

/**
 * Text, tab, newline, carriage return, backspace, colours, styles, erase in line and relative moves of the cursor pass. All
 * other control sequences are shown instead of obeyed: they could change the title, the clipboard, the character set or
 * modes of the terminal, make it answer as if somebody had typed, or write over what is on it.
 */
export function createTerminalFilter(): TerminalFilter {
  const decoder = new StringDecoder('utf8')
  let sequence = ''
  let isStyled = false

  function take(character: string): string {
    if (sequence === '') {
      if (character !== ESC) return isControl(character) ? shown(character) : character
      sequence = ESC
      return ''
    }
    const isStart = sequence === ESC && character === '['
    const isInner = sequence !== ESC && /[0-9:;<=>? !"#$%&'()*+,\-./]/.test(character) && sequence.length < MAX_SEQUENCE
    if (isStart || isInner) {
      sequence += character
      return ''
    }
    const whole = sequence
    sequence = ''
    const isHarmless = whole !== ESC && HARMLESS_FINALS.includes(character) && /^[0-9;:]*$/.test(whole.slice(2))
    if (!isHarmless) return shown(whole) + take(character)
    if (character === 'm') isStyled = !/^0?$/.test(whole.slice(2))
    return whole + character
  }

  function takeAll(text: string): string {
    let result = ''
    for (const character of text) result += take(character)
    return result
  }

  return {
    write(data) {
      const text = decoder.write(data)
      // Most output holds nothing that needs a look at each character.
      return sequence === '' && !NEEDS_LOOK.test(text) ? text : takeAll(text)
    },
    end() {
      const rest = takeAll(decoder.end()) + shown(sequence)
      sequence = ''
      const reset = isStyled ? `${ESC}[0m` : ''
      isStyled = false
      return rest + reset
    },
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same without tab, newline, carriage return and backspace
const NEEDS_LOOK = /[\u0000-\u0007\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/

/** C0 and C1 controls, and those that change the direction of what is shown. */
function isControl(character: string): boolean {
  return CONTROL.test(character) && !PLAIN_CONTROLS.includes(character)
}

/** Control characters as an escape that can be read: `\x1b`; for a sentence with a stranger's words in it. */
export function shown(text: string): string {
  return [...text]
    .map((character) => {
      if (!CONTROL.test(character)) return character
      const code = character.codePointAt(0) as number
      return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
    })
    .join('')
}
