"""The kinds of sequence that a term of a method can use. The configuration is checked against them, without torch."""

GROUND_TRUTH = "ground_truth"  # the targets of the training split, y*
STUDENT_SAMPLES = "student_samples"  # on-policy: y' ~ q, sampled from the current student at each step
ONLINE_TEACHER_SAMPLES = "online_teacher_samples"  # y ~ p, sampled from the teacher anew in every epoch
REPLAYED_SAMPLES = "replayed_samples"  # the student's too, some sampled now and others at earlier steps
FROM_STUDENT = (STUDENT_SAMPLES, REPLAYED_SAMPLES)
SAMPLED = (*FROM_STUDENT, ONLINE_TEACHER_SAMPLES)  # what training samples itself; it reads the others
TEACHER_SAMPLES = "teacher_samples"  # offline: y ~ p, sampled from the teacher before training, stored as Parquet
TEACHER_BEAM = "teacher_beam"  # offline too: the teacher's beam-search outputs, its pseudo-labels
OTHER_TEACHER_BEAM = "other_teacher_beam"  # another teacher's, of any tokenizer: they come through text
TEACHER_SEQUENCES = (TEACHER_SAMPLES, TEACHER_BEAM)
STORED_SEQUENCES = (*TEACHER_SEQUENCES, OTHER_TEACHER_BEAM)
ONLY_LABELLED = (GROUND_TRUTH, OTHER_TEACHER_BEAM)  # what unlabelled inputs do not have
SEQUENCES = (GROUND_TRUTH, *SAMPLED, *STORED_SEQUENCES)
