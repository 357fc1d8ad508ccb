import { EngineError } from "../../../shared/errors.ts";

export type SeccompOperator = "EQ" | "NE" | "LT" | "LE" | "GT" | "GE" | "MASKED_EQ";

/** One condition on a system call's argument (64 bits). With MASKED_EQ `value` is the mask, `valueTwo` what must be left. */
export interface SeccompCondition {
	readonly index: number;
	readonly op: SeccompOperator;
	readonly value: bigint;
	readonly valueTwo?: bigint;
}

/** What the kernel does: SECCOMP_RET_* with its data. */
export type SeccompAction = number;

export interface SeccompRule {
	readonly names: readonly string[];
	readonly action: SeccompAction;
	/** All must hold. */
	readonly conditions: readonly SeccompCondition[];
}

export interface SeccompProfile {
	readonly defaultAction: SeccompAction;
	readonly rules: readonly SeccompRule[];
}

export const ALLOW: SeccompAction = 0x7fff0000;
const ERRNO = 0x00050000;
const EPERM = 1;
const ENOSYS = 38;
const AF_VSOCK = 40n;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
const CLONE_NEW = 0x7e020000n;

/** SECCOMP_RET_ERRNO with this errno. */
export function refuse(errno: number): SeccompAction {
	return (ERRNO | errno) >>> 0;
}

/**
 * The default profile, as moby's: everything not listed is refused with EPERM, some calls only with a capability (names with CAP_).
 * @param architecture node's `process.arch`
 */
export function defaultProfile(capabilities: readonly string[], architecture: string): SeccompProfile {
	const held = new Set(capabilities);
	const admin = held.has("CAP_SYS_ADMIN");
	const allow = (names: string, conditions: SeccompCondition[] = []): SeccompRule => ({
		names: words(names),
		action: ALLOW,
		conditions,
	});
	const rules = [
		allow(ALWAYS),
		allow("process_vm_readv process_vm_writev ptrace"),
		allow("socket", [{ index: 0, op: "NE", value: AF_VSOCK }]),
		...[0x0n, 0x8n, 0x20000n, 0x20008n, 0xffffffffn].map((value) =>
			allow("personality", [{ index: 0, op: "EQ", value }]),
		),
		allow(architecture === "arm64" ? ARM_ONLY : X86_ONLY),
		...Object.entries(BY_CAPABILITY).flatMap(([name, names]) => (held.has(name) ? [allow(names)] : [])),
	];
	if (!admin) {
		rules.push(allow("clone", [{ index: 0, op: "MASKED_EQ", value: CLONE_NEW, valueTwo: 0n }]));
		rules.push({ names: ["clone3"], action: refuse(ENOSYS), conditions: [] });
	}
	return { defaultAction: refuse(EPERM), rules };
}

interface ProfileJson {
	readonly defaultAction?: string;
	readonly defaultErrnoRet?: number;
	readonly syscalls?: readonly SyscallsJson[];
}

interface SyscallsJson {
	readonly name?: string;
	readonly names?: readonly string[];
	readonly action: string;
	readonly errnoRet?: number;
	readonly args?: readonly { index: number; value: number; valueTwo?: number; op: string }[];
	readonly includes?: Filter;
	readonly excludes?: Filter;
}

interface Filter {
	readonly caps?: readonly string[];
	readonly arches?: readonly string[];
	readonly minKernel?: string;
}

const ACTIONS: Record<string, SeccompAction> = {
	SCMP_ACT_ALLOW: ALLOW,
	SCMP_ACT_KILL: 0,
	SCMP_ACT_KILL_THREAD: 0,
	SCMP_ACT_KILL_PROCESS: 0x80000000,
	SCMP_ACT_TRAP: 0x00030000,
	SCMP_ACT_LOG: 0x7ffc0000,
};
const OPERATORS: Record<string, SeccompOperator> = {
	SCMP_CMP_EQ: "EQ",
	SCMP_CMP_NE: "NE",
	SCMP_CMP_LT: "LT",
	SCMP_CMP_LE: "LE",
	SCMP_CMP_GT: "GT",
	SCMP_CMP_GE: "GE",
	SCMP_CMP_MASKED_EQ: "MASKED_EQ",
};

/** A profile in docker's JSON form (`--security-opt seccomp=`). Throws EngineError "invalid" or "unsupported" naming what is wrong. */
export function parseProfile(json: unknown, capabilities: readonly string[], architecture: string): SeccompProfile {
	const { defaultAction, defaultErrnoRet, syscalls = [] } = (json ?? {}) as ProfileJson;
	if (typeof defaultAction !== "string") throw new EngineError("invalid", "invalid seccomp profile: no defaultAction");
	const machine = architecture === "arm64" ? "arm64" : "amd64";
	const applies = ({ includes, excludes }: SyscallsJson) =>
		(includes?.caps ?? []).every((name) => capabilities.includes(name)) &&
		(!includes?.arches?.length || includes.arches.includes(machine)) &&
		!excludes?.caps?.some((name) => capabilities.includes(name)) &&
		!excludes?.arches?.includes(machine);
	return {
		defaultAction: action(defaultAction, defaultErrnoRet),
		rules: syscalls.filter(applies).map((entry) => ({
			names: entry.names ?? (entry.name ? [entry.name] : []),
			action: action(entry.action, entry.errnoRet),
			conditions: (entry.args ?? []).map(condition),
		})),
	};
}

function action(name: string, errno = EPERM): SeccompAction {
	if (name === "SCMP_ACT_ERRNO") return refuse(errno);
	const known = ACTIONS[name];
	if (known === undefined)
		throw new EngineError("unsupported", `seccomp action ${JSON.stringify(name)} is not supported`);
	return known;
}

function condition(arg: { index: number; value: number; valueTwo?: number; op: string }): SeccompCondition {
	const op = OPERATORS[arg.op];
	if (!op) throw new EngineError("unsupported", `seccomp operator ${JSON.stringify(arg.op)} is not supported`);
	return { index: arg.index, op, value: BigInt(arg.value), valueTwo: BigInt(arg.valueTwo ?? 0) };
}

function words(text: string): string[] {
	return text.trim().split(/\s+/);
}

const ARM_ONLY = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
const X86_ONLY = "arch_prctl modify_ldt";

const BY_CAPABILITY: Record<string, string> = {
	CAP_DAC_READ_SEARCH: "open_by_handle_at",
	CAP_SYS_ADMIN: `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
		perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
	CAP_SYS_BOOT: "reboot",
	CAP_SYS_CHROOT: "chroot",
	CAP_SYS_MODULE: "delete_module init_module finit_module",
	CAP_SYS_PACCT: "acct",
	CAP_SYS_PTRACE: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
	CAP_SYS_RAWIO: "iopl ioperm",
	CAP_SYS_TIME: "settimeofday stime clock_settime clock_settime64",
	CAP_SYS_TTY_CONFIG: "vhangup",
	CAP_SYS_NICE: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
	CAP_SYSLOG: "syslog",
	CAP_BPF: "bpf",
	CAP_PERFMON: "perf_event_open",
};

const ALWAYS = `
	accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
	clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect
	copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
	epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark
	fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr
	fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
	futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
	getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
	getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
	getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents
	io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset
	landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr
	lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat
	mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
	mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep
	newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll
	ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read
	readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
	renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
	rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
	sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
	sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile
	sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid
	setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid
	setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
	signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat
	sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
	timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill
	truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4
	waitid waitpid write writev
`;
