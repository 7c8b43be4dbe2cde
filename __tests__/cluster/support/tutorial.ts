import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

const ROOT = join(__dirname, '../../..');
const FOLDER = join(ROOT, 'docs/tutorial');

/** Where the taxis' months lie, and the file server that stands in for it inside the tests' node. */
const PUBLISHER = 'https://d37ci6vzurychx.cloudfront.net/trip-data/';
const FILE_SERVER = 'http://10.89.0.1/';

/** On a page, this stands for output that differs from one machine or one day to the next. */
const ANYTHING = '…';

/** The pages of the tutorial in the order in which they are read, the index first. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(FOLDER)
    .filter((name) => /^\d.*\.md$/.test(name))
    .sort(),
].map((name) => join(FOLDER, name));

/** A fenced block of a page. */
export interface Fence {
  readonly language: string;
  readonly text: string;
  /** The line of its first fence, counted from 1. */
  readonly line: number;
  /** The prose between it and the fence or heading before it. */
  readonly before: string;
}

/** Commands that a reader types, and the output that they should see. */
export interface Block {
  readonly command: string;
  /** Undefined where the page shows no output. */
  readonly expected?: string;
  readonly line: number;
}

/** All fenced blocks of a page, in their order. @throws Error where one is not closed */
export function fences(markdown: string): Fence[] {
  const found: Fence[] = [];
  let open: { language: string; line: number; before: string } | undefined;
  let prose: string[] = [];
  let text: string[] = [];
  for (const [index, line] of markdown.split('\n').entries()) {
    if (open && line === '```') {
      found.push({ ...open, text: text.join('\n') });
      [open, prose] = [undefined, []];
    } else if (open) {
      text.push(line);
    } else if (line.startsWith('```')) {
      open = { language: line.slice(3).trim(), line: index + 1, before: prose.join('\n').trim() };
      text = [];
    } else {
      prose = line.startsWith('#') ? [] : [...prose, line];
    }
  }
  if (open) throw new Error(`line ${open.line}: the fence is never closed`);
  return found;
}

/** The commands of a page: each `sh` block, with the `text` block that follows it at once. */
export function blocks(markdown: string): Block[] {
  const all = fences(markdown);
  return all.flatMap(({ language, text, line }, index) => {
    if (language !== 'sh') return [];
    const next = all[index + 1];
    const said = next?.language === 'text' && next.before === '';
    return [{ command: text, line, ...(said ? { expected: next.text } : {}) }];
  });
}

/**
 * Compares the output of a command with the output that a page shows. There, an ellipsis stands for anything within its
 * line and, alone on a line, for any number of lines.
 * @returns the first expected line that does not come in its place; undefined where all is as expected
 */
export function difference(expected: string, output: string): string | undefined {
  const wanted = lines(expected);
  const text = lines(output)
    .map((line) => `${line}\n`)
    .join('');
  for (let count = 1; count <= wanted.length; count += 1) {
    const begin = wanted.slice(0, count).map(pattern).join('');
    if (!new RegExp(`^${begin}`).test(text)) return wanted[count - 1];
  }
  return new RegExp(`^${wanted.map(pattern).join('')}$`).test(text) ? undefined : 'the end of the output';
}

/** A block that was run, with its output and the seconds that it took. */
export interface Played extends Block {
  readonly output: string;
  readonly seconds: number;
}

export interface PlayOptions {
  /**
   * The words before `bash` that start it, as in `['scripts/cluster/cluster.sh', 'enter']`.
   * @default - nothing
   */
  readonly within?: readonly string[];
  /**
   * How many seconds one block may take.
   * @default 600
   */
  readonly seconds?: number;
}

/**
 * Types the commands of a page into one shell, in their order, as a reader does. What a block defines or leaves running
 * is there for the next block, and ends with the page. The first command that fails ends the page.
 * @param env variables in addition to this process's own
 * @throws with page, line, command and output, where a block fails, takes too long or prints something else
 */
export async function play(
  page: string,
  cwd: string,
  env: Readonly<Record<string, string>> = {},
  { within = [], seconds = 600 }: PlayOptions = {},
): Promise<Played[]> {
  const shell = new Shell(cwd, env, within);
  const played: Played[] = [];
  try {
    for (const block of blocks(readFileSync(page, 'utf8'))) {
      const began = Date.now();
      const fail = (what: string, output: string) => {
        const where = `${relative(ROOT, page)}:${block.line}`;
        throw new Error(`${where}\n${block.command}\n\n${what}\n\n${output}`);
      };
      const { output, problem } = await shell.type(block.command, seconds);
      if (problem) fail(problem, output);
      const missing = block.expected === undefined ? undefined : difference(block.expected, output);
      if (missing !== undefined) fail(`does not say: ${missing}`, output);
      played.push({ ...block, output, seconds: Math.round((Date.now() - began) / 1000) });
    }
  } finally {
    shell.end();
  }
  return played;
}

/**
 * Copies the work tree into a new git repository with one commit, in which the taxis' months come from the tests' file
 * server.
 * @returns its folder
 */
export function copyOfTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'tutorial-'));
  const listed = git(ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard').split('\0');
  for (const file of new Set(listed.filter((name) => name !== '' && existsSync(join(ROOT, name))))) {
    mkdirSync(join(copy, dirname(file)), { recursive: true });
    cpSync(join(ROOT, file), join(copy, file));
    // dist/ is generated from the pipeline, so that its address must change too.
    if (/^pipelines\/.*\.ts$|^dist\/.*60-pipeline-/.test(file)) pointToFileServer(join(copy, file));
  }
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(copy, 'node_modules'));
  git(copy, 'init', '--quiet');
  // The repository ignores a folder of this name; here it is a link.
  appendFileSync(join(copy, '.git/info/exclude'), 'node_modules\n');
  git(copy, 'add', '--all');
  git(copy, '-c', 'user.name=Tutorial', '-c', 'user.email=tutorial@example.com', 'commit', '-qm', 'A clone');
  return copy;
}

/** A bash that ends with the first command that fails. */
class Shell {
  private readonly folder = mkdtempSync(join(tmpdir(), 'typed-'));
  private readonly bash: ReturnType<typeof spawn>;
  private said = '';
  private exit: string | undefined;
  private heard: () => void = () => undefined;

  constructor(cwd: string, env: Readonly<Record<string, string>>, within: readonly string[]) {
    const [program, ...args] = [...within, 'bash', '-euo', 'pipefail'];
    this.bash = spawn(program!, args, {
      cwd,
      // A reader has no folder set for `npm run synth`; the suite has one.
      env: { ...process.env, CDK8S_OUTDIR: undefined, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
      // A process group of its own, so that all of it can be ended.
      detached: true,
    });
    this.bash.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.said += text;
      this.heard();
    });
    const ended = (how: string) => {
      this.exit = how;
      this.heard();
    };
    this.bash.on('error', (error) => ended(`did not start: ${error.message}`));
    this.bash.on('exit', (status, signal) => ended(`ended with ${status ?? signal}`));
    this.bash.stdin!.on('error', () => undefined);
  }

  /** Runs a block. @returns what it printed, and the problem where it failed or took too long */
  async type(command: string, seconds: number): Promise<{ output: string; problem?: string }> {
    const file = join(this.folder, 'block.sh');
    const mark = randomUUID();
    writeFileSync(file, `${command}\n`);
    this.said = '';
    this.bash.stdin!.write(`. '${file}' < /dev/null 2>&1\necho ${mark}\n`);
    const problem = await new Promise<string | undefined>((settle) => {
      const late = setTimeout(() => settle(`did not end within ${seconds} s`), seconds * 1000);
      this.heard = () => {
        const done = this.said.includes(`${mark}\n`);
        if (!done && this.exit === undefined) return;
        clearTimeout(late);
        // The last output may arrive after the event that the shell has ended.
        setTimeout(() => settle(done ? undefined : this.exit), done ? 0 : 200);
      };
      this.heard();
    });
    return { output: this.said.split(mark)[0]!, ...(problem ? { problem } : {}) };
  }

  /** Ends the shell and whatever it left running. */
  end(): void {
    this.heard = () => undefined;
    try {
      process.kill(-this.bash.pid!, 'SIGKILL');
    } catch {
      // All of it has ended.
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The lines of a text without colours, trailing blanks, and empty lines at its beginning and its end. */
function lines(text: string): string[] {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/\u001b\[[\d;]*m/g, '').replace(/\r/g, '');
  return plain
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/^\n+|\n+$/g, '')
    .split('\n');
}

function pattern(line: string): string {
  if (line.trim() === ANYTHING) return '(?:.*\\n)*?';
  const parts = line.split(ANYTHING).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return `${parts.join('.*')}\\n`;
}

function pointToFileServer(file: string): void {
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(PUBLISHER, FILE_SERVER));
}

function git(folder: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
}
