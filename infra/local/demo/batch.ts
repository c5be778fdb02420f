import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { step } from '../progress.ts'
import type { Settings } from '../settings.ts'
import type { ByHand } from './by-hand.ts'
import { type Check, check, same } from './checks.ts'
import type { Cli } from './cli.ts'

const SOURCES = ['testsrc', 'testsrc2', 'smptebars', 'smptehdbars', 'rgbtestsrc', 'yuvtestsrc', 'mandelbrot', 'cellauto']
const SIZES = ['640x480', '1280x720', '1000x1000']

/** The sample batch: images from ffmpeg's own test sources, turned into JPEGs and thumbnails, four jobs at a time. */
export async function checkBatch(settings: Settings, folder: string, rgrid: Cli, byHand: ByHand, checks: Check[]): Promise<void> {
  mkdirSync(join(folder, 'images'), { recursive: true })
  cpSync(join(settings.root, 'docs/examples/thumbnails/thumbnail.sh'), join(folder, 'thumbnail.sh'))
  await step(`${SOURCES.length * SIZES.length} sample images`, () => byHand('ffmpeg:latest', folder, ['bash', '-c', drawImages()]))
  const images = readdirSync(join(folder, 'images')).map((file) => basename(file, '.png'))

  const result = await rgrid(folder, 'run', 'thumbnail.sh', '--runtime', 'ffmpeg:latest', '--batch', 'images/*.png', '--parallel', '4')
  check(checks, `a batch of ${images.length} images ends with exit code 0`, () => same(result.exitCode, 0), `${result.seconds.toFixed(1)} s`)

  await step('the same commands by hand', () => byHand('ffmpeg:latest', folder, ['bash', '-c', convertByHand()]))
  check(checks, 'there are at least 24 images', () => images.length >= 24 || `${images.length} images`)
  check(checks, 'each image has its folder in ./outputs', () => same(list(join(folder, 'outputs')), list(join(folder, 'by-hand'))))
  const files = images.flatMap((image) => [`${image}/${image}.jpg`, `${image}/${image}.thumb.jpg`])
  check(checks, 'each folder holds the JPEG and the thumbnail, nothing else', () => {
    const extra = images.filter((image) => list(join(folder, 'outputs', image)) !== `${image}.jpg ${image}.thumb.jpg`)
    return extra.length === 0 || `not so: ${extra.join(', ')}`
  })
  check(
    checks,
    'outputs are byte-identical to ffmpeg run by hand',
    () => {
      const different = files.filter((file) => !readFileSync(join(folder, 'outputs', file)).equals(readFileSync(join(folder, 'by-hand', file))))
      return different.length === 0 || `different: ${different.join(', ')}`
    },
    `${files.length} files`,
  )
}

function drawImages(): string {
  const draw = SOURCES.flatMap((source) =>
    SIZES.map((size) => `ffmpeg -nostdin -loglevel error -y -f lavfi -i ${source}=size=${size} -frames:v 1 images/${source}-${size}.png`),
  )
  return ['set -e', ...draw].join('\n')
}

function convertByHand(): string {
  return [
    'set -eu',
    'for image in images/*.png; do',
    '  name=$(basename "$image" .png)',
    '  mkdir -p "by-hand/$name"',
    '  ffmpeg -nostdin -loglevel error -y -threads 1 -i "$image" -q:v 3 "by-hand/$name/$name.jpg"',
    '  ffmpeg -nostdin -loglevel error -y -threads 1 -i "$image" -vf scale=320:-2 -q:v 5 "by-hand/$name/$name.thumb.jpg"',
    'done',
  ].join('\n')
}

function list(folder: string): string {
  return readdirSync(folder).sort().join(' ')
}
