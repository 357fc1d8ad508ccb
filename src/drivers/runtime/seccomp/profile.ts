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

/** What a program may call the kernel as; x86 and x32 only on x64. */
export type SeccompArchitecture = "x64" | "x86" | "x32" | "arm64";

export interface SeccompProfile {
	readonly defaultAction: SeccompAction;
	readonly rules: readonly SeccompRule[];
	/** Beside the machine's own; calls as any other kill. */
	readonly architectures: readonly SeccompArchitecture[];
}

export const ALLOW: SeccompAction = 0x7fff0000;
const ERRNO = 0x00050000;
export const EPERM = 1;
const ENOSYS = 38;
const AF_VSOCK = 40n;
/** The kernel takes an int and passes over the upper half. */
const INT = 0xffffffffn;
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
		// moby compares all 64 bits, which a family with anything in the upper half evades.
		allow("socket"),
		{
			names: ["socket"],
			action: refuse(EPERM),
			conditions: [{ index: 0, op: "MASKED_EQ" as const, value: INT, valueTwo: AF_VSOCK }],
		},
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
	return { defaultAction: refuse(EPERM), rules, architectures: ["x86", "x32"] };
}

const ARM_ONLY = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
const X86_ONLY = "arch_prctl modify_ldt";

const BY_CAPABILITY: Record<string, string> = {
	CAP_DAC_READ_SEARCH: "open_by_handle_at",
	CAP_SYS_ADMIN: `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
		lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
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

function words(text: string): string[] {
	return text.trim().split(/\s+/);
}
